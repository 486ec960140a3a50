"""Messages as they were received, held against the events' description."""

import json
from typing import Any

import jsonschema_rs
from azure.servicebus import ServiceBusReceivedMessage

type Json = dict[str, Any]


def unlike_the_description(described: Json, message: ServiceBusReceivedMessage) -> list[str]:
    """Say what of a message the AsyncAPI document does not allow: in its properties, and in its body."""
    name = message.subject
    promised = described["components"]["messages"][name]
    properties = {_text(key): _text(value) for key, value in (message.application_properties or {}).items()}
    body = json.loads(b"".join(message.body))
    found = [f"{name}: content type {message.content_type}"] if message.content_type != promised["contentType"] else []
    for part, value in (("headers", properties), ("payload", body)):
        schema = {**promised[part], "components": described["components"]}
        errors = jsonschema_rs.Draft202012Validator(schema, validate_formats=True).iter_errors(value)
        found += [f"{name}: {part}/{'/'.join(map(str, error.instance_path))}: {error.message}" for error in errors]
        unknown = value.keys() - promised[part]["properties"].keys()
        found += [f"{name}: {part} has {each}, which is not described" for each in sorted(unknown)]
    return found


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
