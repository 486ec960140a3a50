"""What a test run executes, as Azure SQL would get it: each distinct statement, with the parameters that it had.

`listen` makes a process note them, in a file of its own in the folder that COLLECT_STATEMENTS names; `entries` reads
all files of the folder. A unit of work is noted as the batch that it is on Azure SQL.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache, wraps
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from infra.sql.tsql import PARTS, entry, of_log, statements
from shared.frame.sql.sqlite import Question
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.unit_of_work import UnitOfWork, batch
from shared.frame.write_side.writes import Row

SETTING = "COLLECT_STATEMENTS"
PRODUCT = str(Path(__file__).parents[2] / "shared") + os.sep

MADE_ANEW = [
    f"frame/write_side/aggregate_streams.py:{name}"
    for name in ("count", "newest", "event_at", "lengths", "firsts", "stretch", "changed")
]
"""Functions of the product whose statements are made for each reader, and so have no name of their own."""


def listen() -> None:
    """Note from now on what this process executes, if the environment asks for it."""
    folder = os.environ.get(SETTING)
    if folder:
        notes = _Notes(Path(folder, f"{os.getpid()}.jsonl"))
        sa.event.listen(sa.Engine, "before_execute", notes.statement)
        _before(UnitOfWork, "commit", notes.unit)
        _before(Question, "rows", notes.question)


def entries(folder: Path) -> list[dict[str, Any]]:
    """Give the distinct statements that all processes have noted, for tsql-check."""
    found: dict[str, dict[str, Any]] = {}
    for noted in _noted(folder):
        found.setdefault(noted["sql"], noted)
    return list(found.values())


def left_out(folder: Path) -> list[str]:
    """Say which statements of the product no process has executed."""
    notes = list(_noted(folder))
    if not notes:
        return ["no statement has been collected at all"]
    used = {name for noted in notes for name in (noted["name"], *noted["uses"])}
    of_logs = {name.partition(".LOG.")[2] for name in used}  # each log has all of them, and need not use all
    constants = (name for name, _ in statements() if (name.partition(".LOG.")[2] or name) not in of_logs)
    return [f"no test has executed {name}" for name in (*constants, *MADE_ANEW) if name not in used]


def _noted(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.glob("*.jsonl")):
        yield from map(json.loads, file.read_text(encoding="utf-8").splitlines())


def _before(owner: type, name: str, note: Callable[..., None]) -> None:
    real = getattr(owner, name)

    @wraps(real)
    def noted(self: Any, *arguments: Any) -> Any:
        note(self, *arguments)
        return real(self, *arguments)

    setattr(owner, name, noted)


class _Notes:
    """The notes of one process; each is written at once, for it may be killed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: dict[object, object] = {}

    def statement(self, _connection: object, statement: Any, several: Any, single: Any, _options: object) -> None:
        """Note a statement that the product executes; what tests do by themselves is none of it."""
        parameters = single or (several[0] if several else {})
        key = (id(statement), *sorted(parameters))
        if key in self._seen or not isinstance(statement, sa.sql.ClauseElement) or not _by_the_product():
            return
        self._seen[key] = statement  # kept, so that no other statement gets its id
        name = _names().get(id(statement))
        if id(statement) in _parts():
            return
        note = entry(name or _caller(), statement, parameters.keys())
        self._write(note | {"uses": [name] if name else []})

    def question(self, question: Question, _cursor: object, parameters: Row) -> None:
        """Note what SQLite's driver gets past SQLAlchemy."""
        self.statement(None, question.statement, None, parameters, None)

    def unit(self, work: UnitOfWork) -> None:
        """Note a unit of work as the batch that Azure SQL gets."""
        plan, on_conflict = work.plan, work.on_conflict and work.on_conflict[0]
        key = (plan, id(on_conflict))
        if key in self._seen or not plan:
            return
        self._seen[key] = on_conflict
        names = [_names().get(id(step), "?") for step, _ in plan]
        parts = [*names, *([_names()[id(on_conflict)]] if on_conflict is not None else [])]
        self._write(entry(" + ".join(parts), batch(plan, on_conflict)) | {"uses": parts})

    def _write(self, note: dict[str, Any]) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(note) + "\n")


@cache
def _names() -> dict[int, str]:
    return {id(statement): name for name, statement in statements()}


@cache
def _parts() -> set[int]:
    logs = {log for module in tuple(sys.modules.values()) for log in vars(module).values() if isinstance(log, EventLog)}
    return {id(statement) for log in logs for name, statement in of_log(log) if name in PARTS}


def _callers() -> Iterator[str]:
    frame = sys._getframe(1)  # noqa: SLF001  # nothing public is as cheap
    while frame.f_back is not None:
        frame = frame.f_back
        file = frame.f_code.co_filename
        if "sqlalchemy" not in file and file != __file__:
            yield f"{file}:{frame.f_code.co_name}"


def _by_the_product() -> bool:
    return next(_callers(), "").startswith(PRODUCT)


def _caller() -> str:
    return next(_callers(), "").removeprefix(PRODUCT)
