"""Health: alive, and ready to take commands and answer queries.

Ready is what a load balancer goes by: where the answer is 503 it sends nobody. A view that shows nothing of what the
log has is as empty on every other instance, and commands are taken: so that is a 200, which says that it is degraded.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import Any, Literal

import azure.functions as func
from pydantic import Field

from shared.frame.context import Context
from shared.frame.http.answers import not_cached
from shared.frame.http.api import Api
from shared.frame.http.callers import require_guard
from shared.frame.messaging.retries import tell
from shared.frame.platform.callers import OPEN
from shared.frame.platform.output import Answer
from shared.frame.platform.release import RELEASE
from shared.frame.platform.threads import Threads
from shared.frame.read_side.presence import wrong_with
from shared.kernel.refusals import Unavailable

logger = logging.getLogger(__name__)

TIMEOUT = 5
"""Seconds until a store that does not answer counts as not there."""

CHECKING = Threads("health", 2)
"""The checks' own: whatever else is busy, they say how the stores are."""


class NotReady(Exception):
    """Something that commands or queries need does not answer; it is named."""


class Health(Answer):
    """How it is; degraded: commands are taken, and some queries answer less than there is."""

    status: Literal["alive", "ready", "degraded"]
    wrong: list[str] = Field(description="what is wrong, and what mends it")


def health(contexts: Sequence[Context[Any]]) -> Api:
    """Wire both checks up. Service Bus is not among them: while it is away, the outbox keeps what it shall get."""
    api = Api("health")
    views = [model.view for context in contexts for model in context.read_models.values()]
    looking: asyncio.Task[list[str]] | None = None

    async def answers[Found](what: str, piece: Awaitable[Found]) -> Found:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await piece
        except Exception as error:
            tell(logger, error, f"not ready: {what}")
            raise NotReady(what) from error

    async def look() -> list[str]:
        tables = (answers(f"the tables of {each.name}", CHECKING.run(each.look_into_tables)) for each in contexts)
        read_models = (answers(f"the read model {view.name}", wrong_with(view)) for view in views)
        found = await asyncio.gather(*tables, *read_models, return_exceptions=True)
        if failed := [str(error) for error in found if isinstance(error, BaseException)]:
            raise NotReady(", ".join(failed))
        return [wrong for some in found if isinstance(some, list) for wrong in some]

    async def wrong() -> list[str]:
        nonlocal looking
        if looking is None or looking.done():  # all who ask meanwhile share the look
            looking = asyncio.create_task(look())
        return await asyncio.shield(looking)

    @api.query("health/live", None, Health, role=OPEN)
    async def get_health_live(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        """Tell whether the process runs."""
        return _told("alive")

    @api.query("health/ready", None, Health, role=OPEN)
    async def get_health_ready(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        """Tell whether commands and queries can be answered: every table and every read model is asked."""
        require_guard()
        try:
            found = await wrong()
        except NotReady as error:
            detail = f"At the moment these cannot be read: {error}."
            raise Unavailable("not-ready", detail) from error
        return _told("degraded" if found else "ready", found)

    return api


def _told(status: Literal["alive", "ready", "degraded"], wrong: Sequence[str] = ()) -> func.HttpResponse:
    """Answer, and name the release: while a new one comes up, the one before still answers."""
    answer = not_cached(Health(status=status, wrong=list(wrong)))
    answer.headers["X-Release"] = RELEASE
    return answer
