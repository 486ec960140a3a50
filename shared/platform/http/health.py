"""Health: alive, and ready to take commands and answer queries."""

import asyncio
import logging
from http import HTTPStatus
from typing import Literal

import azure.functions as func
import sqlalchemy as sa

from shared.platform.cosmos import ReadModels
from shared.platform.http.answers import told
from shared.platform.http.api import Api
from shared.platform.http.callers import OPEN, require_guard
from shared.platform.http.problems import RETRY_AFTER, Problem
from shared.platform.output import Answer
from shared.platform.reading import point_read
from shared.platform.settings import Settings
from shared.platform.sql import context_engine

logger = logging.getLogger(__name__)

PATIENCE = 5
"""Seconds until a store that does not answer counts as not there."""

ALIVE = sa.select(sa.literal(1))


class Health(Answer):
    """How it is."""

    status: Literal["alive", "ready"]


def health(settings: Settings, read_models: ReadModels) -> Api:
    """Wire both checks up. Service Bus is not among them: while it is away, the outbox keeps what it shall get."""
    engine = context_engine(settings, "ordering")
    api = Api("health")

    def sql_answers() -> None:
        with engine.connect().execution_options(reads_only=True) as connection:
            connection.execute(ALIVE)

    async def cosmos_answers() -> None:
        await point_read(read_models.container("orders"), "health", "health")

    @api.query("health/live", None, Health, role=OPEN)
    async def get_health_live(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        """Tell whether the process runs."""
        return told(Health(status="alive"))

    @api.query("health/ready", None, Health, role=OPEN)
    async def get_health_ready(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        """Tell whether commands and queries can be answered: the database and the read models are asked."""
        require_guard()
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(asyncio.to_thread(sql_answers), cosmos_answers())
        except Exception as error:
            logger.warning("not ready", exc_info=True)
            detail = "The database or the read models do not answer at the moment."
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", detail, headers={"Retry-After": str(RETRY_AFTER)}
            ) from error
        return told(Health(status="ready"))

    return api
