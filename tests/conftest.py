"""What holds for all tests: with TANDEM_NO_SKIPS=1, as in CI, a skipped test is a failure."""

import os

import pytest

NO_SKIPS = os.environ.get("TANDEM_NO_SKIPS") == "1"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that was green but left something out: CI has what every test needs."""
    if NO_SKIPS and session.exitstatus == pytest.ExitCode.OK and _skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say why such a run failed; the list of the skipped tests with their reasons is in the summary."""
    if NO_SKIPS and (skipped := _skipped(config)):
        terminalreporter.write_line(f"TANDEM_NO_SKIPS=1: {skipped} skipped, and that is a failure here", red=True)


def _skipped(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", [])) if reporter else 0  # an xdist worker has none, and does not decide
