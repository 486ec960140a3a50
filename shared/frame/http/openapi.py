"""The API's description in OpenAPI 3.1, made from the models that validate requests and render answers.

https://spec.openapis.org/oas/v3.1.1
"""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from shared.frame.http import openapi_parts as parts
from shared.frame.http.answers import JSON
from shared.frame.http.api import PREFIX, Operation
from shared.frame.http.problems import PROBLEM_JSON
from shared.frame.platform.callers import OPEN, Owners
from shared.frame.platform.input import AFTER_PATTERN, Input, QueryInput
from shared.frame.platform.output import Answer

type Schema = dict[str, Any]

SCHEMAS = "#/components/schemas/{model}"


def document(operations: Iterable[Operation], about: parts.About) -> Schema:
    """Describe the operations of an app.

    Raises:
        ValueError: two models have the same name.
    """
    operations = list(operations)
    schemas = _schemas(operations)
    paths: dict[str, Schema] = {}
    for operation in operations:
        described = _operation(operation, schemas, about.owners)
        paths.setdefault(f"{PREFIX}/{operation.route}", {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.1",
        "info": parts.info(about),
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": schemas | {"Problem": parts.PROBLEM},
            "parameters": parts.REQUEST_HEADERS,
            "headers": parts.RESPONSE_HEADERS,
            "responses": {_response_name(status): _problem(status) for status in parts.ERRORS},
            "securitySchemes": parts.SECURITY,
        },
    }


class Untitled(GenerateJsonSchema):
    """Leaves out titles such as "Productid", which say nothing that the name does not."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # pydantic's signature
        """Never."""
        return False


def _models(operations: Iterable[Operation]) -> Iterator[tuple[type[Input | QueryInput | Answer], JsonSchemaMode]]:
    for operation in operations:
        if operation.input is not None:
            yield operation.input, "validation"
        if operation.answer is not None:
            yield operation.answer, "serialization"


def _schemas(operations: Iterable[Operation]) -> dict[str, Schema]:
    models = list(dict.fromkeys(_models(operations)))
    _, generated = models_json_schema(models, ref_template=SCHEMAS, schema_generator=Untitled)
    schemas: dict[str, Schema] = generated.get("$defs", {})
    if clashing := [name for name in schemas if "__" in name]:
        raise ValueError(f"Schemas need names of their own: {', '.join(clashing)}")
    for schema in schemas.values():
        schema.pop("title", None)
    return schemas


def _operation(operation: Operation, schemas: dict[str, Schema], owners: Owners | None) -> Schema:
    described: Schema = {
        "operationId": to_camel(operation.name),
        "tags": [operation.tag],
        "summary": _first_sentence(operation.description),
        "description": f"{operation.description}\n\n{_who(operation, owners)}",
        "security": [] if operation.role is OPEN else [{scheme: [operation.role] for scheme in parts.SECURITY}],
        "parameters": [],
        "responses": _responses(operation),
    }
    headers = ["X-Correlation-Id", "traceparent"]
    if operation.input is not None:
        name = operation.input.__name__
        schema = schemas.pop(name)
        example = schema.pop("examples", [{}])[0]
        fields = {field: field in operation.parameters for field in schema["properties"]}
        rest = [field for field, in_path in fields.items() if not in_path]
        described["parameters"] += [
            _parameter(field, "path", schema, example) for field, in_path in fields.items() if in_path
        ]
        if operation.is_command:
            headers = [*(["Idempotency-Key", "If-Match"] if operation.versioned else []), *headers]
            if rest:
                schemas[name] = _body(schema, rest)
                content = {"schema": {"$ref": SCHEMAS.format(model=name)}}
                if example:
                    content["example"] = {field: value for field, value in example.items() if field in rest}
                is_required = operation.method == "PUT" or "required" in schemas[name]
                described["requestBody"] = {"required": is_required, "content": {JSON: content}}
        else:
            described["parameters"] += [_parameter(field, "query", schema, example) for field in rest]
            headers = [*(["Prefer"] if _waits(schema["properties"]) else []), "If-None-Match", *headers]
    if operation.signature_header is not None:
        signature = {"description": "The caller's signature of the body.", "schema": {"type": "string"}}
        described["parameters"].append(
            {"name": operation.signature_header, "in": "header", "required": True, **signature}
        )
        described["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": {"type": "object"}, "example": {"type": "something.happened"}}},
        }
    described["parameters"] += [{"$ref": f"#/components/parameters/{header}"} for header in headers]
    return described


def _parameter(name: str, place: str, schema: Schema, example: Mapping[str, Any]) -> Schema:
    own = _without_null(schema["properties"][name])
    described: Schema = {"name": name, "in": place, "required": name in schema.get("required", [])}
    if "description" in own:
        described["description"] = own.pop("description")
    if name in example:
        described["example"] = example[name]
    return described | {"schema": own}


def _without_null(schema: Schema) -> Schema:
    """Say of an optional parameter only what it is when it is there: a query string has no null."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    outer: Schema = {
        key: value for key, value in schema.items() if key != "anyOf" and (key, value) != ("default", None)
    }
    match choices:
        case []:
            return outer
        case [only]:
            return {**outer, **only}
        case _:
            return outer | {"anyOf": choices}


def _body(schema: Schema, fields: list[str]) -> Schema:
    required = [name for name in schema.get("required", []) if name in fields]
    body: Schema = {**schema, "properties": {name: schema["properties"][name] for name in fields}}
    body.pop("required", None)
    return body | {"required": required} if required else body


def _responses(operation: Operation) -> Schema:
    described: Schema = {str(operation.success.value): _success(operation)}
    if operation.input is not None and not operation.is_command:
        described["304"] = {
            "description": "The caller has this version already (If-None-Match).",
            "headers": _headers("ETag", "X-Correlation-Id"),
        }
    for status in _errors(operation):
        described[str(status.value)] = {"$ref": f"#/components/responses/{_response_name(status)}"}
    return described


def _success(operation: Operation) -> Schema:
    headers = ["X-Correlation-Id"]
    if operation.input is not None and operation.versioned:
        headers.insert(0, "ETag")
    if operation.is_command and operation.versioned:
        headers.append("Idempotent-Replayed")
    if operation.success is HTTPStatus.CREATED:
        headers.insert(0, "Location")
    success: Schema = {"description": parts.SUCCESSES[operation.success], "headers": _headers(*headers)}
    if operation.answer is not None:
        success["content"] = {JSON: {"schema": {"$ref": SCHEMAS.format(model=operation.answer.__name__)}}}
    return success


def _errors(operation: Operation) -> list[HTTPStatus]:
    """Tell which of the errors an operation can answer."""
    never = set()
    if operation.input is None:
        never |= {HTTPStatus.UNPROCESSABLE_ENTITY}
    if not operation.is_command:
        never |= parts.OF_COMMANDS
    if not operation.versioned:
        never |= {HTTPStatus.PRECONDITION_FAILED}
    if not operation.can_miss:
        never |= {HTTPStatus.NOT_FOUND}
    if operation.role is OPEN:
        never |= parts.OF_CALLERS
    if operation.signature_header is not None:
        never -= parts.OF_HOOKS
    return [status for status in parts.ERRORS if status not in never]


def _problem(status: HTTPStatus) -> Schema:
    described: Schema = {"description": parts.ERRORS[status].description}
    if status is HTTPStatus.TOO_MANY_REQUESTS:
        return described  # the platform's own answer has no body
    headers = ["X-Correlation-Id"]
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.insert(0, "Retry-After")
    if status is HTTPStatus.UNAUTHORIZED:
        headers.insert(0, "WWW-Authenticate")
    described["headers"] = _headers(*headers)
    content = {"schema": {"$ref": SCHEMAS.format(model="Problem")}, "example": parts.problem_example(status)}
    described["content"] = {PROBLEM_JSON: content}
    return described


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _response_name(status: HTTPStatus) -> str:
    return "".join(word.capitalize() for word in status.name.split("_"))


def _who(operation: Operation, owners: Owners | None) -> str:
    if operation.signature_header is not None:
        return "For the system whose signature it has, and for nobody else."
    if operation.role is OPEN:
        return "Open to everybody."
    return (
        f"For callers with the role `{operation.role}`{f', and for {owners.who}' if owners and operation.own else ''}."
    )


def _first_sentence(text: str) -> str:
    return text.replace("\n", " ").partition(". ")[0].rstrip(".")


def _waits(fields: Mapping[str, Schema]) -> bool:
    after = _without_null(fields.get("after", {}))
    return "minVersion" in fields or after.get("pattern") == AFTER_PATTERN
