"""Ids that callers send: never the nil UUID and, for something new, none that the app gives to something of its own."""

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from types import SimpleNamespace
from typing import Annotated, Any, cast
from uuid import UUID, uuid4, uuid5

import azure.functions as func
import jsonschema_rs
import pytest
from pydantic import TypeAdapter, ValidationError

from shared.catalog.domain.stock import stock_of
from shared.contexts import ABOUT
from shared.frame.http.api import Operation
from shared.frame.http.openapi import document
from shared.frame.http.requests import command_call
from shared.frame.platform.input import (
    AFTER_SCHEMA,
    After,
    Id,
    Input,
    MaybeOwnerId,
    NewId,
    OwnerId,
    Version,
    read_after,
)
from shared.kernel.refusals import Invalid
from shared.ordering.events import fulfilment_of
from tests.support.app import app_globals
from tests.support.principals import shop

OPERATIONS: list[Operation] = app_globals()["routes"]
CREATING = [each for each in OPERATIONS if each.success is HTTPStatus.CREATED]
OWN_IDS = {"post_customer", "post_customer_address"}
"""A customer's id is their directory's, and the app gives addresses ids of version 5. No log has both and others."""
DESCRIBED = document(OPERATIONS, ABOUT)
NIL = "00000000-0000-0000-0000-000000000000"
OLDER = "6fa459ea-ee8a-3ca4-894e-db77e160355e"
NO_VERSION = "6fa459ea-ee8a-5ca4-094e-db77e160355e"


def id_field(operation: Operation) -> str:
    assert operation.answer is not None
    [field] = operation.answer.model_fields.values()
    assert field.alias is not None
    return field.alias


def body(operation: Operation, id_: str) -> dict[str, Any]:
    path = DESCRIBED["paths"][f"/api/{operation.route}"][operation.method.lower()]
    example: dict[str, Any] = path["requestBody"]["content"]["application/json"]["example"]
    return example | {id_field(operation): id_}


def read(operation: Operation, id_: str) -> Input:
    request = func.HttpRequest(
        method=operation.method,
        url=f"http://host/api/{operation.route}",
        headers=shop() | {"Content-Type": "application/json"},
        route_params={name: str(uuid4()) for name in operation.parameters},
        body=json.dumps(body(operation, id_)).encode(),
    )
    context = SimpleNamespace(invocation_id="i", trace_context=SimpleNamespace(trace_parent=None))
    model = cast("type[Input]", operation.input)
    return command_call(request, cast("func.Context", context), model).command


def schema(operation: Operation) -> jsonschema_rs.Draft202012Validator:
    assert operation.input is not None
    name = operation.input.__name__
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": DESCRIBED["components"]}
    )


@pytest.mark.parametrize(
    "operation",
    [each for each in CREATING if each.name not in OWN_IDS],
    ids=lambda each: f"{each.method} {each.route}",
)
@pytest.mark.parametrize("derive", [fulfilment_of, stock_of])
def test_nobody_chooses_an_id_that_the_app_derives(operation: Operation, derive: Any) -> None:
    id_ = str(derive(uuid4()))
    for written in (id_, id_.upper()):
        with pytest.raises(Invalid) as refused:
            read(operation, written)
        [error] = refused.value.errors
        assert (error.pointer, error.location) == (f"/{id_field(operation)}", "body")
        assert "version 5" in error.detail
        assert not schema(operation).is_valid(body(operation, written))


@pytest.mark.parametrize("operation", CREATING, ids=lambda each: f"{each.method} {each.route}")
@pytest.mark.parametrize(
    "id_", ["6fa459ea-ee8a-4ca4-894e-db77e160355e", "01938f2e-7c1a-7def-8abc-0123456789ab", OLDER, NO_VERSION]
)
def test_any_other_id_is_a_callers_to_choose(operation: Operation, id_: str) -> None:
    field = re.sub("([A-Z])", lambda found: f"_{found[1].lower()}", id_field(operation))
    assert getattr(read(operation, id_), field) == UUID(id_)
    assert schema(operation).is_valid(body(operation, id_))


@pytest.mark.parametrize(
    "operation",
    [each for each in CREATING if each.name in OWN_IDS],
    ids=lambda each: f"{each.method} {each.route}",
)
def test_customers_and_addresses_may_have_any_id(operation: Operation) -> None:
    id_ = str(uuid5(uuid4(), "of a directory, or of a command"))
    read(operation, id_)
    assert schema(operation).is_valid(body(operation, id_))


def uuids(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema of a UUID within a schema."""
    if isinstance(schema, list):
        for each in schema:
            yield from uuids(each)
    elif isinstance(schema, dict):
        if schema.get("format") == "uuid":
            yield schema
        for each in schema.values():
            yield from uuids(each)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.route}")
def test_every_id_of_every_request_is_refused_when_it_is_nil(operation: Operation) -> None:
    described = TypeAdapter(operation.input).json_schema() if operation.input is not None else {}
    for id_ in uuids(described):
        assert not jsonschema_rs.is_valid(id_, NIL)
        assert jsonschema_rs.is_valid(id_, str(uuid4()))


@pytest.mark.parametrize("kind", [Id, NewId, OwnerId, MaybeOwnerId])
def test_no_id_is_nil(kind: Any) -> None:
    with pytest.raises(ValidationError, match="not all of them 0"):
        TypeAdapter(kind).validate_python(NIL)
    assert TypeAdapter(kind).validate_python(NIL[:-1] + "1") == UUID(int=1)


def test_no_list_waits_for_what_is_nil() -> None:
    after: TypeAdapter[After] = TypeAdapter(Annotated[After, read_after("orderId"), AFTER_SCHEMA])
    with pytest.raises(ValidationError, match="<orderId>:<version>"):
        after.validate_python(f"{NIL}:1")
    assert after.validate_python(f"{NIL[:-1]}1:1") == After(UUID(int=1), 1)
    described = after.json_schema()
    assert [jsonschema_rs.is_valid(described, f"{id_}:1") for id_ in (NIL, NIL[:-1] + "1")] == [False, True]


UPPER = "0A1B2C3D-4E5F-4A7B-8C9D-0E1F2A3B4C5D"


@pytest.mark.parametrize(
    ("after", "is_one"),
    [
        *((f"{id_}:1", True) for id_ in (UPPER, UPPER.lower(), UPPER[:20] + UPPER[20:].lower())),
        *((f"{UPPER}:{version}", True) for version in (2, 10, 999_999_999_999_999)),
        *((f"{UPPER}:{version}", False) for version in (0, "01", 2**53, 10**17, "", "-1", "1.0", " 1", "1 ", "\u0661")),
        *((other, False) for other in ("", UPPER, f"{UPPER}:1:1", f"x{UPPER}:1", f"{UPPER[:-1]}G:1")),
    ],
)
def test_what_a_list_waits_for_is_described_as_it_is_taken(after: str, *, is_one: bool) -> None:
    """Also to a client that checks by the description: to JSON Schema a pattern has no flags."""
    taken: TypeAdapter[After] = TypeAdapter(Annotated[After, read_after("orderId"), AFTER_SCHEMA])
    assert jsonschema_rs.is_valid(taken.json_schema(), after) is is_one
    if not is_one:
        with pytest.raises(ValidationError, match="<orderId>:<version>"):
            taken.validate_python(after)
        return
    found = taken.validate_python(after)
    assert (str(found.id), found.version) == (after.partition(":")[0].lower(), int(after.partition(":")[2]))
    min_version: TypeAdapter[int] = TypeAdapter(Version)
    assert min_version.validate_python(str(found.version)) == found.version
