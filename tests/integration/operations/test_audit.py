"""Nothing is done without a record of who is about to do it."""

import asyncio
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
import sqlalchemy as sa

from shared.frame.http.api import Operation
from shared.frame.messaging.envelope import Metadata
from shared.frame.operations.audit import Audit, AuditEntry, AuditTrail, Intent, ReadAudit
from shared.frame.operations.tables import SCHEMA
from shared.frame.read_side.cursors import cursor_at
from shared.frame.sql.engines import sql_engine
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.kernel.refusals import Invalid, Refusal
from tests.support import principals
from tests.support.app import app_globals
from tests.support.database import empty_database, unmigrated_database
from tests.support.triggers import context

INTENT = Intent("replay-dead-letters", "a/b", {"reason": "Größe"}, Metadata(actor="Ada", correlation_id="c"))
NOTHING = AuditTrail(items=[], next=None)


APP = app_globals()
FUNCTIONS = {each.get_function_name(): each.get_user_function() for each in APP["app"].get_functions()}
CHANGES_NOTHING = {"post_projection_check"}
LOOKS_FIRST = {"post_dead_letters_replay", "post_dead_letters_discard"}
"""At the messages, of which the entry tells: their entries are tested in dead_letters."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    """An engine on a database that has not been migrated."""
    engine = sql_engine(unmigrated_database(tmp_path), SCHEMA)
    yield engine
    engine.dispose()


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Audit]:
    engine = sql_engine(empty_database(tmp_path), SCHEMA)
    yield Audit(engine)
    engine.dispose()


async def entries(audit: Audit) -> list[AuditEntry]:
    return (await audit.read_page(ReadAudit())).items


async def test_the_entry_stands_before_the_action_and_gets_its_outcome_after_it(audit: Audit) -> None:
    async def action() -> AuditTrail:
        [entry] = await entries(audit)
        assert (entry.actor, entry.correlation_id, entry.action, entry.subject) == ("Ada", "c", INTENT.action, "a/b")
        assert (entry.details, entry.outcome) == (INTENT.details, None)
        return NOTHING

    assert await audit.audited(INTENT, action) == NOTHING
    [entry] = await entries(audit)
    assert entry.outcome
    assert entry.outcome.details == {"items": [], "next": None}


async def test_an_action_that_fails_leaves_its_error(audit: Audit) -> None:
    async def fail() -> AuditTrail:
        raise LookupError("no such thing")

    with pytest.raises(LookupError):
        await audit.audited(INTENT, fail)
    [entry] = await entries(audit)
    assert entry.outcome
    assert entry.outcome.details == {"error": "LookupError: no such thing"}


async def test_an_action_that_is_torn_off_leaves_an_entry_without_an_outcome(audit: Audit) -> None:
    async def die() -> AuditTrail:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await audit.audited(INTENT, die)
    [entry] = await entries(audit)
    assert entry.outcome is None


async def test_what_cannot_be_recorded_is_not_done(engine: sa.Engine) -> None:
    done = []

    async def action() -> AuditTrail:
        done.append(True)
        return NOTHING

    with pytest.raises(sa.exc.DBAPIError, match=r"operations\.audit"):
        await Audit(engine).audited(INTENT, action)
    assert not done


async def test_an_entry_whose_answer_was_lost_is_sent_again_and_stands_there_once(
    audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, commits = UnitOfWork.commit, count(1)

    def losing_the_first_answer(work: UnitOfWork) -> None:
        commit(work)
        if next(commits) == 1:
            raise sa.exc.OperationalError("INSERT", {}, Exception("08S01"), connection_invalidated=True)

    monkeypatch.setattr(UnitOfWork, "commit", losing_the_first_answer)

    async def action() -> AuditTrail:
        return NOTHING

    await audit.audited(INTENT, action)
    [entry] = await entries(audit)
    assert entry.outcome


async def test_the_newest_come_first_and_older_ones_page_by_page_whatever_is_done_meanwhile(audit: Audit) -> None:
    async def action() -> AuditTrail:
        return NOTHING

    async def do(subject: str) -> None:
        await audit.audited(Intent("replay-dead-letters", subject, {}, Metadata()), action)

    for number in range(5):
        await do(str(number))
    page = await audit.read_page(ReadAudit(take=2))
    pages = [[entry.subject for entry in page.items]]
    while page.next:
        await do("meanwhile")
        page = await audit.read_page(ReadAudit(take=2, cursor=page.next))
        pages.append([entry.subject for entry in page.items])
        assert len(pages) <= 3
    assert pages == [["4", "3"], ["2", "1"], ["0"]]
    assert all(entry.outcome for entry in page.items)


async def test_a_page_that_is_just_full_is_the_last_one(audit: Audit) -> None:
    async def action() -> AuditTrail:
        return NOTHING

    for _ in range(2):
        await audit.audited(INTENT, action)
    assert (await audit.read_page(ReadAudit(take=2))).next is None


@pytest.mark.parametrize("cursor", [cursor_at("7", "processes", 0), ""])
async def test_a_cursor_of_another_list_is_refused(audit: Audit, cursor: str) -> None:
    with pytest.raises(Invalid) as refused:
        await audit.read_page(ReadAudit(cursor=cursor))
    assert [error.pointer for error in refused.value.errors] == ["/cursor"]


@pytest.mark.parametrize("place", ["x", "7 8", "7.5", "", "0", "-7", str(2**63), "9" * 100])
async def test_a_cursor_that_somebody_made_up_is_refused(audit: Audit, place: str) -> None:
    """The check in a cursor is no secret."""
    with pytest.raises(Invalid) as refused:
        await audit.read_page(ReadAudit(cursor=cursor_at(place, "audit", 0)))
    assert [error.pointer for error in refused.value.errors] == ["/cursor"]


@pytest.mark.parametrize(
    "operation",
    [
        each
        for each in APP["routes"]
        if each.tag == "operations" and each.is_command and each.name not in CHANGES_NOTHING | LOOKS_FIRST
    ],
    ids=lambda operation: operation.name,
)
async def test_whatever_an_operator_does_is_recorded_first(
    operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = list[Intent]()

    async def refuse(_audit: Audit, intent: Intent, _action: object) -> None:
        recorded.append(intent)
        raise Refusal("recorded")

    monkeypatch.setattr(Audit, "audited", refuse)
    assert operation.input is not None
    extra: Any = operation.input.model_config["json_schema_extra"]
    example = dict(extra["examples"][0])
    in_path = {name: example.pop(name) for name in operation.parameters}
    request = func.HttpRequest(
        method=operation.method,
        url=f"http://host/api/{operation.route}",
        headers=principals.shop() | {"Content-Type": "application/json"},
        route_params=in_path,
        body=json.dumps(example).encode(),
    )
    answer = await FUNCTIONS[operation.name](request, context())
    assert json.loads(answer.get_body())["detail"] == "recorded"
    assert [intent.subject for intent in recorded] == list(in_path.values())
