"""What holds for all tests.

- With TANDEM_NO_SKIPS=1, as in CI, a skipped test is a failure.
- What they execute is collected. At the end of a whole run Microsoft's T-SQL compiler, where it is at hand, reads it as
  Azure SQL would get it; a statement of the product that no test has executed is a failure.
- What a module leaves open (a connection, a socket, a file) fails that module, and not whichever is at work when Python
  happens to collect it.
"""

import gc
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.check import tsql_check
from infra.sql import collected
from tests.support.slow import SLOW
from tests.support.tools import ROOT, left_out

collect_ignore = [str(ROOT / path) for path in left_out()]
NO_SKIPS = os.environ.get("TANDEM_NO_SKIPS") == "1"
FINDINGS = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Collect statements: in this process, and in those that tests start."""
    if not _is_worker(config):
        os.environ[collected.SETTING] = tempfile.mkdtemp(prefix="statements-")
    collected.listen()


def pytest_report_header() -> list[str]:
    """Say which files are left out and why."""
    return [f"left out: {path}, for there is no {name} on this computer" for path, name in left_out().items()]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let processes begin with the slow files; then come those of many tests, as xdist has it by itself."""
    if not _is_worker(config):
        return
    tests = Counter(map(_file, items))

    def turn(item: pytest.Item) -> tuple[int, int]:
        file = _file(item)
        return SLOW.index(file) if file in SLOW else len(SLOW), -tests[file]

    items.sort(key=turn)


def pytest_collection_finish() -> None:
    """Leave what has been imported and collected out of each later collection of garbage, which is much the faster."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left_open() -> Iterator[None]:
    yield
    gc.collect()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that was green but left something out: CI has what every test needs."""
    if session.exitstatus != pytest.ExitCode.OK or _is_worker(session.config):
        return
    findings = session.config.stash[FINDINGS] = []
    if NO_SKIPS and (skipped := _skipped(session.config)):
        findings.append(f"TANDEM_NO_SKIPS=1: {skipped} skipped, and that is a failure here")
    if _is_whole(session.config):
        folder = Path(os.environ[collected.SETTING])
        findings += collected.left_out(folder)
        findings += tsql_check(collected.entries(folder))
    if findings:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say why such a run failed; the list of the skipped tests with their reasons is in the summary."""
    for finding in config.stash.get(FINDINGS, []):
        terminalreporter.write_line(finding, red=True)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _is_whole(config: pytest.Config) -> bool:
    options = config.option
    return config.args == config.getini("testpaths") and not (options.keyword or options.markexpr or options.lf)


def _skipped(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", [])) if reporter else 0  # an xdist worker has none, and does not decide
