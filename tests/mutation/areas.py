"""Which tests have to notice a bug in which part of the product: few enough that an area takes minutes.

A bug that only a slower test notices (tests/e2e, thousands of simulated shops) counts as a survivor here: the slower
the test, the later somebody learns of the bug.
"""

from typing import NamedTuple


class Area(NamedTuple):
    """A part of the product.

    Attributes:
        sources: patterns of the files that are changed.
        tests: what is run, as pytest is given it; of these, those that come through the changed function.
    """

    sources: tuple[str, ...]
    tests: tuple[str, ...]


A_FEW_SHOPS = "tests/simulation/test_simulation.py::test_a_seed_always_tells_the_same_story"

AREAS = {
    "kernel": Area(
        ("shared/kernel/*",),
        ("tests/unit/kernel", "tests/unit/ordering", "tests/unit/catalog", "tests/unit/customers"),
    ),
    "ordering": Area(
        (
            "shared/ordering/domain/*",
            "shared/ordering/fulfilment/decisions.py",
            "shared/ordering/fulfilment/status_facts.py",
        ),
        ("tests/unit/ordering",),
    ),
    "catalog": Area(("shared/catalog/domain/*",), ("tests/unit/catalog",)),
    "customers": Area(("shared/customers/domain/*",), ("tests/unit/customers",)),
    "payments": Area(
        ("shared/payments/domain/*", "shared/payments/performing.py"),
        ("tests/unit/payments", "tests/integration/payments/test_exactly_once.py"),
    ),
    "http": Area(
        ("shared/frame/http/etags.py", "shared/frame/http/answers.py", "shared/frame/http/header_values.py"),
        ("tests/unit/platform",),
    ),
    "outbox": Area(
        (
            "shared/frame/write_side/publisher.py",
            "shared/frame/write_side/relay.py",
            "shared/frame/write_side/outbox.py",
        ),
        (
            "tests/unit/messaging",
            "tests/integration/messaging/relay",
            "tests/integration/platform/test_outbox.py",
        ),
    ),
    "writes": Area(
        tuple(
            f"shared/frame/write_side/{name}.py"
            for name in (
                "unit_of_work",
                "writes",
                "commands",
                "event_log",
                "log_table",
                "claims",
                "aggregate_streams",
                "inbox",
            )
        ),
        (
            "tests/unit/messaging",
            "tests/conformance/sql",
            "tests/integration/messaging",
            "tests/integration/platform/test_handlers.py",
            "tests/integration/platform/test_following.py",
            "tests/integration/platform/write_side",
            "tests/integration/platform/test_log_source.py",
            "tests/integration/platform/driver",
        ),
    ),
    "triggers": Area(
        ("shared/frame/messaging/subscriptions.py", "shared/frame/timers.py", "shared/frame/messaging/retries.py"),
        ("tests/unit/platform", "tests/integration/platform/test_retries.py"),
    ),
    "generations": Area(
        ("shared/frame/read_side/generations.py", "shared/frame/operations/rebuilding.py"),
        (
            "tests/simulation/test_generations.py",
            "tests/simulation/test_handshakes.py",
            "tests/simulation/test_roll_back.py",
            A_FEW_SHOPS,
        ),
    ),
    "operations": Area(
        tuple(f"shared/frame/operations/{name}.py" for name in ("drift", "lag", "dead_letter_replay", "dead_letters")),
        (
            "tests/integration/operations/test_drift.py",
            "tests/integration/operations/test_healing.py",
            "tests/integration/operations/test_lag.py",
            "tests/integration/operations/dead_letters",
            "tests/integration/operations/test_measuring_subscriptions.py",
        ),
    ),
}
