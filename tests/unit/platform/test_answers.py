"""What stands in an answer: its status, its headers as they are written, and its body in the API's own names."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import azure.functions as func
import pytest

from shared.frame.http.answers import created, failed, finished, no_content, not_cached, ok_or_not_modified
from shared.frame.http.requests import QueryCall
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.input import QueryInput
from shared.frame.platform.output import Answer
from shared.frame.read_side.past import StillFolding
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.kernel.refusals import NotFound, TooSoon, Unavailable

ACCEPTED = Accepted(UUID(int=7), 3)
CONTEXT = cast("func.Context", SimpleNamespace(trace_context=SimpleNamespace(trace_parent=None), invocation_id="one"))


class Shown(Answer):
    """An answer."""

    first_name: str


ADA = Shown(first_name="Ada")


def written(answer: func.HttpResponse) -> tuple[int, bytes, dict[str, str]]:
    """The status, the body and the headers, whose names are compared as they are written."""
    media_type = {"Content-Type": answer.mimetype} if answer.get_body() else {}
    return answer.status_code, answer.get_body(), dict(answer.headers) | media_type


def asked(url: str = "http://host/api/x", correlation_id: str = "talk") -> func.HttpRequest:
    return func.HttpRequest(method="GET", url=url, headers={"X-Correlation-Id": correlation_id}, body=b"")


def test_what_is_new_is_told_with_its_place_and_its_version() -> None:
    assert written(created(ACCEPTED, ADA, "/api/x/7")) == (
        201,
        b'{"firstName":"Ada"}',
        {"Location": "/api/x/7", "ETag": '"3"', "Cache-Control": "no-store", "Content-Type": "application/json"},
    )


def test_what_was_done_is_told_without_a_body_and_the_second_time_as_such() -> None:
    headers = {"ETag": '"3"', "Cache-Control": "no-store"}
    assert written(no_content(ACCEPTED)) == (204, b"", headers)
    assert written(no_content(replace(ACCEPTED, replayed=True))) == (
        204,
        b"",
        headers | {"Idempotent-Replayed": "true"},
    )


def test_what_is_so_at_this_moment_is_not_to_be_kept() -> None:
    headers = {"Cache-Control": "no-store", "Content-Type": "application/json"}
    assert written(not_cached(ADA)) == (200, b'{"firstName":"Ada"}', headers)


def test_what_a_query_found_may_be_kept_by_its_caller_who_asks_each_time() -> None:
    tag = '"3.179827578847698919"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    first, again = (ok_or_not_modified(QueryCall(QueryInput(), NO_WAIT, known), ADA, 3) for known in (None, tag))
    assert written(first) == (200, b'{"firstName":"Ada"}', headers | {"Content-Type": "application/json"})
    assert written(again) == (304, b"", headers)


def test_every_answer_names_the_conversation_and_its_type_is_no_guess() -> None:
    answer = finished(func.HttpResponse(), asked(), CONTEXT)
    assert answer.headers.to_wsgi_list()[:2] == [("X-Correlation-Id", "talk"), ("X-Content-Type-Options", "nosniff")]


@pytest.mark.parametrize(
    ("url", "instance"),
    [
        ("http://host/api/orders/7?a=b", "/api/orders/7"),
        ("http://host/api/a%2Fb", "/api/a%2Fb"),
        ("http://host/api/50%", "/api/50%25"),
        ("http://host/api/%zz", "/api/%25zz"),
        ("http://host/api/x:@!$&'()*+,;=~y", "/api/x:@!$&'()*+,;=~y"),
        ("http://host/api/XX\u00fc<", "/api/XX%C3%BC%3C"),
    ],
)
def test_an_error_names_the_path_that_was_asked_for_and_the_conversation(url: str, instance: str) -> None:
    answer = failed(NotFound("no such thing"), asked(url), CONTEXT)
    said = json.loads(answer.get_body())
    assert (answer.status_code, said["instance"], said["correlationId"]) == (404, instance, "talk")
    assert (answer.headers["X-Correlation-Id"], answer.headers["X-Content-Type-Options"]) == ("talk", "nosniff")


def test_a_refusal_that_its_caller_alone_is_the_reason_for_says_so_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "shared")
    for error in (Unavailable("overloaded", "Much."), TooSoon("overloaded", "Yours."), StillFolding()):
        assert failed(error, asked(), CONTEXT).status_code == 503
    assert caplog.messages == ["asked too soon: overloaded"] * 2
