"""The judge of answers sees each way in which one can be other than described."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared.frame.http.openapi_parts import PROBLEM
from tests.support.contract import BrokenContract, Contract

ETAG = {"ETag": {"required": True, "schema": {"type": "string"}}}
OK = {
    "description": "ok",
    "headers": ETAG,
    "content": {"application/json": {"schema": {"type": "object", "required": ["id"]}}},
}
CONTRACT = Contract(
    {
        "openapi": "3.1.1",
        "info": {"title": "t", "version": "1"},
        "paths": {
            "/api/things/{id}": {
                "get": {
                    "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                    "responses": {"200": OK},
                }
            }
        },
        "components": {"schemas": {"Problem": PROBLEM}},
    }
)
GOOD = {"ETag": '"1"', "Content-Type": "application/json"}
NOT_FOUND = {
    "type": "urn:tandem:problem:no-such-path",
    "title": "Not Found",
    "status": 404,
    "detail": "none",
    "instance": "/api/nope",
    "correlationId": "c",
}
AS_PROBLEM = {"Content-Type": "application/problem+json"}


def judge(method: str, path: str, response: httpx.Response) -> None:
    """Judge a response as if it had come over the wire."""
    response.request = httpx.Request(method, f"http://host{path}")
    response.elapsed = timedelta()
    CONTRACT.check(response)


def test_what_is_described_passes() -> None:
    judge("GET", "/api/things/1", httpx.Response(200, headers=GOOD, json={"id": 1}))
    judge("HEAD", "/api/things/1", httpx.Response(200, headers=GOOD))
    judge("GET", "/api/nope", httpx.Response(404, headers=AS_PROBLEM, json=NOT_FOUND))
    judge("GET", "/elsewhere", httpx.Response(418))


@pytest.mark.parametrize(
    ("status", "headers", "body", "complaint"),
    [
        (201, GOOD, {"id": 1}, "Undocumented status code"),
        (200, GOOD | {"Content-Type": "text/html"}, {"id": 1}, "Undocumented Content-Type"),
        (200, {"Content-Type": "application/json"}, {"id": 1}, "Missing required response headers"),
        (200, GOOD, {}, '"id" is a required property'),
    ],
)
def test_an_answer_that_is_not_described_is_told(status: int, headers: Any, body: Any, complaint: str) -> None:
    with pytest.raises(BrokenContract, match=complaint):
        judge("GET", "/api/things/1", httpx.Response(status, headers=headers, json=body))


@pytest.mark.parametrize(
    ("status", "headers", "body", "complaint"),
    [
        (200, AS_PROBLEM, NOT_FOUND, "no such operation"),
        (405, AS_PROBLEM, NOT_FOUND, "Allow is missing"),
        (404, {"Content-Type": "application/json"}, NOT_FOUND, "no application/problem"),
        (404, AS_PROBLEM, {}, '"type" is a required property'),
    ],
)
def test_where_there_is_no_operation_only_a_problem_passes(
    status: int, headers: Any, body: Any, complaint: str
) -> None:
    with pytest.raises(BrokenContract, match=complaint):
        judge("POST", "/api/things/1", httpx.Response(status, headers=headers, json=body))
