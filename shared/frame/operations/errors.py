"""Why operations refuse. The codes are part of the API (`urn:tandem:problem:<code>`)."""

from sqlalchemy.exc import DBAPIError

from shared.frame.sql.errors import error_number
from shared.kernel.refusals import NotFound, Refusal


def described(error: Exception) -> str:
    """Describe an error for an answer and for the audit trail, which is kept for ever.

    The text of a database error may repeat a refused value ("Truncated value: ..."), so only its number is given.
    """
    what = f"number {error_number(error)}" if isinstance(error, DBAPIError) else str(error)
    return f"{type(error).__name__}: {what}"


class ViewNotFound(NotFound):
    """There is no such view."""

    code = "view-not-found"


class PartitionNotFound(NotFound):
    """The event log has nothing with this id, so there is nothing to compare."""

    code = "partition-not-found"


class RebuildUnderWay(Refusal):
    """The view is being rebuilt; wait, or cancel it."""

    code = "rebuild-under-way"


class NoRebuildUnderWay(Refusal):
    """There is nothing to cancel."""

    code = "no-rebuild-under-way"


class NoOtherGeneration(Refusal):
    """The view has one generation only."""

    code = "no-other-generation"


class GenerationIncomplete(Refusal):
    """The other generation shows less than the one that serves, or it is not known yet whether it does."""

    code = "generation-incomplete"


class SwitchUnderWay(Refusal):
    """The generations are about to change places; a moment later it is done."""

    code = "switch-under-way"
