"""The ETags that callers see."""

from shared.frame.http.answers import ok_or_not_modified
from shared.frame.http.requests import QueryCall
from shared.frame.platform.input import QueryInput
from shared.frame.platform.output import Answer
from shared.frame.read_side.read_your_writes import NO_WAIT


def tag_of(answer: Answer, version: int) -> str:
    """The ETag of a query that found this document at this version."""
    return str(ok_or_not_modified(QueryCall(QueryInput(), NO_WAIT, None), answer, version).headers["ETag"])
