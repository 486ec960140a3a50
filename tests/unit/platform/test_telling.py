"""A store that is away is a line in the log; what nobody expected comes with where it came from."""

import logging

import pytest
import sqlalchemy as sa
from azure.core.exceptions import ServiceRequestError

from shared.frame.messaging.retries import tell

logger = logging.getLogger("telling")


def lines(caplog: pytest.LogCaptureFixture, error: Exception) -> list[str]:
    """What is written of an error that was raised somewhere deep."""
    caplog.handler.setFormatter(logging.Formatter("%(message)s"))
    try:
        raise error  # noqa: TRY301  # it has a traceback then
    except Exception as raised:  # noqa: BLE001  # that is what is told
        tell(logger, raised, "it failed")
    return caplog.text.splitlines()


@pytest.mark.parametrize(
    "error",
    [
        ServiceRequestError("Cannot connect to host\nand much more"),
        ConnectionRefusedError(111, "refused"),
        TimeoutError(),
        sa.exc.OperationalError("SELECT secret", {}, Exception("[08001] nobody answers\n(0) (SQLDriverConnect)")),
        sa.exc.TimeoutError("the pool is empty"),
    ],
    ids=repr,
)
def test_a_store_that_is_away_is_one_line(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    if isinstance(error, sa.exc.DBAPIError):
        error.connection_invalidated = True
    [line] = lines(caplog, error)
    assert line.startswith(f"it failed: {type(error).__name__}: ")
    assert "SELECT" not in line


def test_what_nobody_expected_has_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    said = lines(caplog, KeyError("x"))
    assert said[0] == "it failed"
    assert any("Traceback" in line for line in said)
