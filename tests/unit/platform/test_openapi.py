"""The description is made from the app's own models, and says of every operation what there is to say."""

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import TypeAdapter, ValidationError

from shared.contexts import ABOUT
from shared.frame.http import openapi_parts as parts
from shared.frame.http.api import PREFIX, Operation
from shared.frame.http.fallback import PAGES
from shared.frame.http.openapi import document
from shared.frame.platform.callers import OPEN
from shared.frame.platform.input import Input, Text
from shared.ordering.commands.add_item import AddItem
from tests.support.app import app_globals, http_functions

ROOT = Path(__file__).parents[3]
NO_ROUTE = "{*path}"

type Json = dict[str, Any]
type Route = tuple[str, str, frozenset[str]]


@pytest.fixture(scope="module")
def app() -> dict[str, Any]:
    return app_globals()


@pytest.fixture(scope="module")
def described(app: dict[str, Any]) -> Json:
    return document(app["routes"], ABOUT)


@pytest.fixture(scope="module")
def routes(app: dict[str, Any]) -> list[Route]:
    return http_functions(app)


def operations(described: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in described["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def test_the_description_is_valid_openapi_3_1(described: Json) -> None:
    OpenAPIV31SpecValidator(described).validate()


def test_every_http_function_is_described_and_nothing_else_is(described: Json, routes: list[Route]) -> None:
    served = {(f"{PREFIX}/{route}", method) for _, route, methods in routes for method in methods - {"HEAD"}}
    pages = {(f"{PREFIX}/{page}", "GET") for page in PAGES}
    assert pages <= served
    assert served - pages == {(path, method) for path, method, _ in operations(described)}


def test_the_prefix_is_the_host_s() -> None:
    host = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    assert f"/{host['extensions']['http']['routePrefix']}" == PREFIX


def test_no_path_belongs_to_two_routes_so_the_order_in_which_a_host_tries_them_is_all_one(routes: list[Route]) -> None:
    own = [(name, route, methods) for name, route, methods in routes if route != NO_ROUTE]
    for name, route, methods in own:
        pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", route), re.IGNORECASE)
        assert [other for other, path, theirs in own if methods & theirs and pattern.fullmatch(path)] == [name]


def test_the_catch_all_comes_last_in_the_alphabet_because_azure_tries_routes_by_function_name(
    routes: list[Route],
) -> None:
    names = sorted((name for name, _, _ in routes), key=str.lower)
    assert [name for name, route, _ in routes if route == NO_ROUTE] == names[-1:]


def test_every_operation_says_what_it_is(described: Json) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(ids) == len(set(ids))
    for _, _, operation in operations(described):
        assert re.fullmatch("[a-z]+([A-Z][a-z]+)+", operation["operationId"])
        assert re.fullmatch(r"[A-Z][^.]+", operation["summary"])
        assert operation["description"].startswith(operation["summary"])


HOOKS = {"/api/payments/webhook"}
"""What another system calls; its signature is its credential."""


def test_every_operation_can_be_overloaded_and_fail_and_only_what_has_a_version_can_be_stale(described: Json) -> None:
    for path, method, operation in operations(described):
        statuses = set(operation["responses"])
        if path in HOOKS:
            assert statuses == {"204", "403", "411", "413", "429", "500", "503"}
            continue
        assert {"429", "500", "503"} <= statuses, path
        assert ({"400", "409", "413", "415", "422"} <= statuses) is (method != "GET"), path
        versioned = {"$ref": "#/components/parameters/If-Match"} in operation["parameters"]
        assert ("412" in statuses) is versioned, path
        assert versioned is (method != "GET" and "/ops/" not in path), path
        assert ("304" in statuses) is (method == "GET" and "/health/" not in path), path


def test_only_what_is_named_can_be_missing(described: Json) -> None:
    missing = {path for path, method, told in operations(described) if method == "GET" and "404" in told["responses"]}
    of_a_thing = {path for path, method, _ in operations(described) if method == "GET" and "{" in path}
    assert missing == of_a_thing | {"/api/customers"}, "and the customer with an e-mail address"


def test_only_queries_that_wait_say_for_how_long(described: Json) -> None:
    for path, _, told in operations(described):
        asked = {each["name"]: each["schema"] for each in told["parameters"] if each.get("in") == "query"}
        is_number = asked.get("after", {}).get("type") == "integer"  # a place in a list, not `<id>:<version>`
        waits = "minVersion" in asked or ("after" in asked and not is_number)
        assert ({"$ref": "#/components/parameters/Prefer"} in told["parameters"]) is waits, path


def test_what_replaces_something_requires_a_body(described: Json) -> None:
    replacing = [told["requestBody"]["required"] for _, method, told in operations(described) if method == "PUT"]
    assert replacing
    assert all(replacing)


def test_every_operation_says_who_may_use_it(app: dict[str, Any], described: Json) -> None:
    for operation in app["routes"]:
        told = described["paths"][f"{PREFIX}/{operation.route}"][operation.method.lower()]
        if operation.role is OPEN:
            assert told["security"] == []
            expected = {"403"} if f"{PREFIX}/{operation.route}" in HOOKS else set()
            assert {"401", "403"} & set(told["responses"]) == expected
        else:
            assert told["security"] == [{"token": [operation.role]}]
            assert f"`{operation.role}`" in told["description"]
            assert ("customers" in told["description"].rpartition("\n")[2]) is operation.own
            assert {"401", "403"} <= set(told["responses"])


def test_no_field_has_a_title_that_only_repeats_its_name(described: Json) -> None:
    assert '"title": "' not in json.dumps(described["components"]["schemas"] | {"Problem": {}})


def test_every_example_fits_its_own_schema(described: Json) -> None:
    checked = 0
    for _, _, operation in operations(described):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        pairs = [(body["schema"], body["example"])] if body else []
        pairs += [
            (parameter["schema"], parameter["example"])
            for parameter in operation["parameters"]
            if "example" in parameter
        ]
        for schema, example in pairs:
            jsonschema_rs.Draft202012Validator({**schema, "components": described["components"]}).validate(example)
            checked += 1
    assert checked > 20


@pytest.mark.parametrize("status", [status for status in parts.ERRORS if parts.ERRORS[status].code])
def test_the_example_of_a_problem_is_one(status: HTTPStatus) -> None:
    jsonschema_rs.Draft202012Validator(parts.PROBLEM).validate(parts.problem_example(status))


def test_a_path_parameter_is_required_and_not_in_the_body(described: Json) -> None:
    for path, _, operation in operations(described):
        in_path = {parameter["name"] for parameter in operation["parameters"] if parameter.get("in") == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path))
    assert "orderId" not in described["components"]["schemas"]["AddItem"]["properties"]


def test_an_optional_parameter_is_not_null_in_a_query_string(described: Json) -> None:
    for _, _, operation in operations(described):
        for parameter in operation["parameters"]:
            assert "null" not in json.dumps(parameter), parameter


def test_whatever_a_query_or_a_body_says_has_a_bound(described: Json) -> None:
    asked = [
        (f"{method} {path} {each['name']}", each["schema"])
        for path, method, operation in operations(described)
        for each in operation.get("parameters", ())
        if each.get("in") == "query"
    ]
    sent = [
        (f"{method} {path}", operation["requestBody"]["content"]["application/json"]["schema"])
        for path, method, operation in operations(described)
        if "requestBody" in operation and not path.endswith("/webhook")  # of another system
    ]
    assert len(asked) > 20
    assert len(sent) > 20
    assert [each for where, schema in (*asked, *sent) for each in unbounded(schema, where, described)] == []


def unbounded(schema: Json, where: str, described: Json) -> Iterator[str]:
    """Name what has no largest size."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from unbounded(described["components"]["schemas"][name], where, described)
    for choice in schema.get("anyOf", ()):
        yield from unbounded(choice, where, described)
    for name, field in schema.get("properties", {}).items():
        yield from unbounded(field, f"{where} {name}", described)
    match schema.get("type"):
        case "array":
            yield from unbounded(schema["items"], f"{where}[]", described)
            bounded = "maxItems" in schema
        case "string":
            pattern = re.fullmatch(r"\^[^*+]*\$", schema.get("pattern", ""))
            bounded = pattern is not None or bool(schema.keys() & {"maxLength", "enum", "const"})
            bounded |= schema.get("format") in {"uuid", "date-time"}
        case "integer" | "number":
            bounded = bool(schema.keys() & {"maximum", "exclusiveMaximum"})
        case _:
            bounded = True
    if not bounded:
        yield where


def test_two_models_of_one_name_are_refused_rather_than_mixed_up() -> None:
    other = type("AddItem", (Input,), {"__module__": __name__, "__doc__": "Another."})

    def operation(name: str, model: type[Input]) -> Operation:
        return Operation(
            name,
            "POST",
            name,
            model,
            None,
            HTTPStatus.NO_CONTENT,
            "Do it.",
            "t",
            can_miss=False,
            role=OPEN,
            own=False,
        )

    with pytest.raises(ValueError, match="names of their own"):
        document([operation("one", AddItem), operation("two", other)], ABOUT)


TEXT: TypeAdapter[str] = TypeAdapter(Text)
TEXT_SCHEMA = jsonschema_rs.Draft202012Validator(TEXT.json_schema())


# what is not assigned in Python's version of Unicode may be in that of the other implementation
@given(st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=8))
def test_text_is_described_as_it_is_checked(text: str) -> None:
    try:
        TEXT.validate_python(text)
        accepted = True
    except ValidationError:
        accepted = False
    assert TEXT_SCHEMA.is_valid(text) is accepted
