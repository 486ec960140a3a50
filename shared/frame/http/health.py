"""Health: alive, and ready to take commands and answer queries.

A load balancer goes by readiness: it sends no requests to an instance that answers 503. A view that has lost its
documents is empty for every instance, and commands still work. So the answer is then 200, with the status `degraded`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
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
"""Seconds after which a store that does not answer counts as absent."""

KEPT = 5.0
"""Seconds for which a result is told again, good or bad. Anybody may ask, and a look spends request units that all
share. It is as long as a look may take, so a failure is told within ten seconds: soon for probes, which ask every half
minute or minute, and for a deployment, which asks for minutes."""

CHECKING = Threads("health", 2)
"""Threads of the checks' own: a check waits for no other work."""


class NotReady(Exception):
    """Something that commands or queries need does not answer; it is named."""


class Health(Answer):
    """The state of the app; degraded: commands work, and some queries answer less than they should."""

    status: Literal["alive", "ready", "degraded"]
    wrong: list[str] = Field(description="what is wrong, and what mends it")


class _Looks:
    """Looks that all share who ask meanwhile, or within KEPT seconds."""

    def __init__(self, look: Callable[[], Awaitable[list[str]]]) -> None:
        self._look = look
        self._looking: asyncio.Task[list[str]] | None = None
        self._kept_until = 0.0

    async def result(self) -> list[str]:
        """Give what the last look found, or raise its error; a new one is made if it is too old."""
        if self._looking is None or (self._looking.done() and time.monotonic() >= self._kept_until):
            self._looking = asyncio.create_task(self._look_and_keep())
        return await asyncio.shield(self._looking)

    async def _look_and_keep(self) -> list[str]:
        try:
            return await self._look()
        finally:
            self._kept_until = time.monotonic() + KEPT


def health(contexts: Sequence[Context[Any]]) -> Api:
    """Wire both checks up. They leave Service Bus out: while it is away, the outbox keeps its events."""
    api = Api("health")
    views = [model.view for context in contexts for model in context.read_models.values()]

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

    looks = _Looks(look)

    @api.query("health/live", None, Health, role=OPEN)
    async def get_health_live(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        """Tell whether the process runs."""
        return _told("alive")

    @api.query("health/ready", None, Health, role=OPEN)
    async def get_health_ready(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        """Tell whether commands and queries can be answered: every table and every read model is asked.

        What was found is told again for five seconds.
        """
        require_guard()
        try:
            found = await looks.result()
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
