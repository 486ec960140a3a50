"""A change that rests on a browser's session needs the header that no foreign page can send."""

import asyncio
import json
import threading
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import azure.functions as func
import pytest

from shared.frame.http.callers import CONSOLE, INTENT, require_intent
from shared.frame.http.problems import Problem
from tests.support import principals
from tests.support.app import app_globals

SESSIONS = [
    "AppServiceAuthSession=x",
    "a=b; AppServiceAuthSession=x",
    "a=b;AppServiceAuthSession1=x",
    "a=b, AppServiceAuthSession=x",
]


def request(method: str, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return func.HttpRequest(method=method, url="http://host/api/ops", headers=named, body=b"")


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize("said", [{}, {"X_Requested_With": "XMLHttpRequest"}, {"Authorization": "Bearer x"}])
def test_a_session_alone_changes_nothing(session: str, method: str, said: dict[str, str]) -> None:
    with pytest.raises(Problem) as refused:
        require_intent(request(method, Cookie=session, **said))
    assert (refused.value.status, refused.value.code) == (403, "anti-forgery")


def test_the_page_itself_a_token_and_whoever_only_reads_are_let_in() -> None:
    require_intent(request("POST", Cookie=SESSIONS[0], **{INTENT: CONSOLE}))
    require_intent(request("POST", Authorization="Bearer x", Cookie="theme=AppServiceAuthSession"))
    for method in ("GET", "HEAD"):
        require_intent(request(method, Cookie=SESSIONS[0]))


def test_every_route_that_changes_something_refuses_a_session_without_the_header() -> None:
    app = app_globals()
    functions = {each.get_function_name(): each.get_user_function() for each in app["app"].get_functions()}
    context: Any = SimpleNamespace(
        invocation_id="i", trace_context=SimpleNamespace(trace_parent=None), thread_local_storage=threading.local()
    )
    changing = [each for each in app["routes"] if each.method != "GET" and each.role is not None]
    assert len(changing) > 15
    for operation in changing:
        asked = func.HttpRequest(
            method=operation.method,
            url=f"http://host/api/{operation.route}",
            headers={**principals.shop(), "Cookie": SESSIONS[0]},
            route_params={name: str(uuid4()) for name in operation.parameters},
            body=b"",
        )
        answer = asyncio.run(functions[operation.name](asked, context))
        assert json.loads(answer.get_body())["type"] == "urn:tandem:problem:anti-forgery", operation.name
