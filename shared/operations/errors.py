"""Why operations refuse. The codes are part of the API (`urn:tandem:problem:<code>`)."""

from shared.kernel.refusals import NotFound, Refusal


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


class SwitchUnderWay(Refusal):
    """The generations are about to change places; a moment later it is done."""

    code = "switch-under-way"
