"""The engine as Microsoft's JavaScript client meets it; the checks are those of javascript/table.cjs."""

from pathlib import Path

from servicebus_engine.running import running
from tests.conformance.results import compare, told
from tests.support.clients import run_javascript

FOLDER = Path(__file__).with_name("javascript")


def test_the_checks_of_the_javascript_client_pass(servicebus_engine_python: Path) -> None:
    with running(FOLDER / "topology.json", python=servicebus_engine_python) as engine:
        checks = ("send:", "ttl:", "abandon:", "dead-letter:", "defer:", "lock:", "receive:", "session:")
        said = run_javascript(FOLDER / "table.cjs", engine.connection_string, *checks, timeout=200)
    compare("servicebus-javascript", told(said))
