"""The API's promise, kept: every answer is held against the description that the API itself gives."""

from typing import Any, Self

import httpx
import jsonschema_rs
import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

PROMISES = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

UNDESCRIBED = ("/api/docs", "/api/openapi.json", "/api/asyncapi.json")
"""The description and its page, which the description leaves out."""

NO_ROUTE = {httpx.codes.UNAUTHORIZED, httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED}


class BrokenContract(AssertionError):
    """The API gave an answer that it does not describe."""


class Contract:
    """A description of the API that judges answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._schema = schemathesis.openapi.from_dict(document)
        problem = {"$ref": "#/components/schemas/Problem", "components": document["components"]}
        self._problem = jsonschema_rs.Draft202012Validator(problem)

    @classmethod
    def of(cls, base_url: str) -> Self:
        """Ask a running API for its description."""
        return cls(httpx.get(f"{base_url}/api/openapi.json", timeout=30).raise_for_status().json())

    def check(self, response: httpx.Response) -> None:
        """Judge an answer that has been read: its status, media type, headers and body.

        Raises:
            BrokenContract: it is not as described; the message says all that is wrong.
        """
        request = response.request
        path = request.url.path
        if not path.startswith("/api/") or path.startswith(UNDESCRIBED):
            return
        without_body = request.method == "HEAD"
        operation = self._schema.find_operation_by_path("GET" if without_body else request.method, path)
        if operation is None:
            self._check_no_route(response)
            return
        case = operation.Case(path_parameters={parameter.name: "-" for parameter in operation.path_parameters})
        try:
            case.validate_response(response, checks=PROMISES[:-1] if without_body else PROMISES)
        except BaseExceptionGroup as failures:
            said = [str(failure) for failure in failures.exceptions]
            raise BrokenContract("\n".join([_told(response), *said])) from None

    def _check_no_route(self, response: httpx.Response) -> None:
        """Where there is no operation, the only answers are 401, 404 and 405, as problem details."""
        wrong = [] if response.status_code in NO_ROUTE else ["The description has no such operation."]
        if response.status_code == httpx.codes.METHOD_NOT_ALLOWED and "allow" not in response.headers:
            wrong.append("Allow is missing.")
        if response.headers.get("content-type") != "application/problem+json":
            wrong.append("It is no application/problem+json.")
        elif response.request.method != "HEAD":
            wrong += [error.message for error in self._problem.iter_errors(response.json())]
        if wrong:
            raise BrokenContract("\n".join([_told(response), *wrong]))


def _told(response: httpx.Response) -> str:
    return f"{response.request.method} {response.request.url} answered {response.status_code}: {response.text[:2000]}"
