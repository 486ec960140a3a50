"""A real Service Bus engine for a test, with the laptop's entities unless it is told others."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servicebus_engine.running import Engine, running

__all__ = ["CONFIG", "REPOSITORY", "Engine", "running_engine", "running_servicebus"]

REPOSITORY = Path(__file__).parents[2]
CONFIG = REPOSITORY / "infra" / "local" / "servicebus.json"


@contextmanager
def running_engine(config: dict[str, Any] | Path | None = None, data: Path | None = None) -> Iterator[Engine]:
    """Run an engine; see `running_servicebus`, which is enough where only clients are needed."""
    with running(CONFIG if config is None else config, data) as engine:
        yield engine


@contextmanager
def running_servicebus(config: dict[str, Any] | Path | None = None, data: Path | None = None) -> Iterator[str]:
    """Run a Service Bus engine and yield its connection string.

    Args:
        config: in the format of the emulator's Config.json; the laptop's own when absent.
        data: a directory for its messages, so that another engine can take them up; in memory when absent.
    """
    with running_engine(config, data) as engine:
        yield engine.connection_string
