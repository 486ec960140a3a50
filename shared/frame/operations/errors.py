"""Why operations refuse. The codes are part of the API (`urn:tandem:problem:<code>`)."""

from sqlalchemy.exc import DBAPIError

from shared.frame.sql.errors import error_number
from shared.kernel.refusals import NotFound, Refusal


def described(error: Exception) -> str:
    """Tell what an error is, in an answer and in the record that is kept for good.

    A database's own words may repeat a value that it refuses ("Truncated value: ..."), so only their number is told.
    """
    what = f"number {error_number(error)}" if isinstance(error, DBAPIError) else str(error)
    return f"{type(error).__name__}: {what}"


class ViewNotFound(NotFound):
    """There is no such view."""

    code = "view-not-found"


class PartitionNotFound(NotFound):
    """The event log knows nothing of it, so there is nothing to compare."""

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
    """The other generation shows less than the one that serves; or that is not known yet."""

    code = "generation-incomplete"


class SwitchUnderWay(Refusal):
    """The generations are about to change places; a moment later it is done."""

    code = "switch-under-way"
