"""Health: alive, and ready to take commands and answer queries."""

import asyncio
import logging
from http import HTTPStatus

import azure.functions as func
import sqlalchemy as sa

from shared.platform.cosmos import ReadModels
from shared.platform.http.api import JSON
from shared.platform.reading import point_read
from shared.platform.settings import Settings
from shared.platform.sql import context_engine

logger = logging.getLogger(__name__)

PATIENCE = 5
"""Seconds until a store that does not answer counts as not there."""

ALIVE = sa.select(sa.literal(1))


def health(settings: Settings, read_models: ReadModels) -> func.Blueprint:
    """Wire both checks up. Service Bus is not among them: while it is away, the outbox keeps what it shall get."""
    blueprint = func.Blueprint()
    engine = context_engine(settings, "ordering")

    def sql_answers() -> None:
        with engine.connect().execution_options(reads_only=True) as connection:
            connection.execute(ALIVE)

    async def cosmos_answers() -> None:
        await point_read(read_models.container("orders"), "health", "health")

    @blueprint.route("health/live", methods=["GET"])
    async def get_health_live(req: func.HttpRequest) -> func.HttpResponse:
        return _answer(HTTPStatus.OK, '{"status": "alive"}')

    @blueprint.route("health/ready", methods=["GET"])
    async def get_health_ready(req: func.HttpRequest) -> func.HttpResponse:
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(asyncio.to_thread(sql_answers), cosmos_answers())
        except Exception:
            logger.warning("not ready", exc_info=True)
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, '{"status": "not ready"}')
        return _answer(HTTPStatus.OK, '{"status": "ready"}')

    return blueprint


def _answer(status: HTTPStatus, body: str) -> func.HttpResponse:
    return func.HttpResponse(body, status_code=status, mimetype=JSON, headers={"Cache-Control": "no-store"})
