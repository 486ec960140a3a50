"""Errors as RFC 9457 problem details; the one place that knows which refusal is which status."""

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import azure.functions as func
import sqlalchemy as sa
from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError

from shared.frame.messaging.codec import UnknownEventType
from shared.frame.messaging.retries import is_away, is_refused, tell
from shared.frame.read_side.past import StillFolding
from shared.frame.read_side.shape import UnreadableShape
from shared.frame.sql.errors import OutOfTime, is_full
from shared.frame.write_side.commands import KeyReused
from shared.frame.write_side.unit_of_work import LostRace
from shared.kernel.refusals import InputError, Invalid, NotFound, NotSigned, Refusal, StaleVersion, Unavailable

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"


class Problem(Exception):
    """An answer that is an error.

    Attributes:
        code: the last part of the problem type `urn:tandem:problem:<code>`; part of the API.
        errors: what is wrong with the input, all of it at once.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        errors: Sequence[InputError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}


def problem_of(error: Exception) -> Problem:  # noqa: C901  # a table
    """Make the problem that a caller gets for an error; an unexpected error is logged, and not described."""
    match error:
        case Problem():
            return error
        case Unavailable():
            return _later(error)
        case Refusal():
            return Problem(_status(error), error.code, error.detail, error.errors)
        case LostRace():
            return _later(Unavailable("contention", "Too many commands change this at the same time."))
        case sa.exc.TimeoutError():
            return _later(Unavailable("overloaded", "All connections to the database are busy."))
        case StillFolding():
            return _later(Unavailable("overloaded", "Much has happened to this; what it was then is being gathered."))
        case OutOfTime():
            return _later(Unavailable("database-unavailable", "The database did not answer in time."))
        case sa.exc.SQLAlchemyError() if is_away(error):
            return _later(_unavailable(error))
        case ResourceNotFoundError():  # a missing document is None, so this is the container
            return _later(Unavailable("read-models-unavailable", "A container of the read models is missing."))
        case HttpResponseError() if is_refused(error):
            tell(logger, error, "the read models refuse this app")
            return _later(
                Unavailable("read-models-unavailable", "There is no access to the read models at the moment.")
            )
        case HttpResponseError() if not is_away(error):
            pass
        case UnreadableShape():
            logger.error("stored by another release, or damaged: %s", error)
            return _later(Unavailable("unreadable-shape", str(error)))
        case UnknownEventType():
            logger.error("a later release has written %s", error)
            return _later(Unavailable("unknown-event-type", f"A later release has written {error} for this."))
        case AzureError() | TimeoutError():
            return _later(Unavailable("read-models-unavailable", "The read models do not answer at the moment."))
        case _:
            pass
    logger.error("a request failed", exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "Something went wrong on our side.")


def render(problem: Problem, instance: str, correlation_id: str) -> func.HttpResponse:
    """Write a problem as the answer to the request for the path `instance`."""
    body: dict[str, object] = {
        "type": f"urn:tandem:problem:{problem.code}",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
        "instance": instance,
        "correlationId": correlation_id,
    }
    if problem.errors:
        body["errors"] = [
            {"in": error.location, "pointer": error.pointer, "detail": error.detail} for error in problem.errors
        ]
    return func.HttpResponse(
        json.dumps(body, ensure_ascii=False).encode(),
        status_code=problem.status.value,
        mimetype=PROBLEM_JSON,
        headers={"X-Correlation-Id": correlation_id, "Cache-Control": "no-store", **problem.headers},
    )


def _status(refusal: Refusal) -> HTTPStatus:
    match refusal:
        case Invalid() | KeyReused():
            return HTTPStatus.UNPROCESSABLE_ENTITY
        case NotFound():
            return HTTPStatus.NOT_FOUND
        case StaleVersion():
            return HTTPStatus.PRECONDITION_FAILED
        case NotSigned():
            return HTTPStatus.FORBIDDEN
        case _:
            return HTTPStatus.CONFLICT


def _unavailable(error: sa.exc.SQLAlchemyError) -> Unavailable:
    if is_refused(error):
        tell(logger, error, "the database refuses this app")
        return Unavailable("database-unavailable", "There is no access to the database at the moment.")
    if isinstance(error, sa.exc.DBAPIError) and is_full(error):
        logger.error("the database has no room left, or may not be written: %s", error.orig)
        return Unavailable("database-unavailable", "The database takes nothing more at the moment.")
    return Unavailable("database-unavailable", "The database does not answer at the moment.")


def _later(error: Unavailable) -> Problem:
    headers = {"Retry-After": str(error.retry_after)}
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, error.code, error.detail, headers=headers)
