"""Which test files take minutes, each of few tests."""

SLOW = (
    "tests/simulation/test_simulation.py",  # first, beside files that compile and check; it takes spare time alone
    "tests/e2e/test_extending.py",
    "tests/e2e/test_new_context.py",
    "tests/e2e/contract/test_schemathesis.py",
    "tests/e2e/test_erasure.py",
    "tests/e2e/test_outages.py",
    "tests/e2e/test_lost_stores.py",
    "tests/e2e/test_projections.py",
    "tests/e2e/test_rebuild_command.py",
)
"""A run with several processes begins with them in this order, lest it end with one process at work."""
