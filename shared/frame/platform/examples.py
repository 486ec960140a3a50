"""Examples for the API's description."""

from typing import Any

from pydantic import JsonValue


def example(**fields: JsonValue) -> dict[str, Any]:
    """Give a model an example, named as on the wire: `class Rename(Input, json_schema_extra=example(name="Ada"))`."""
    return {"examples": [fields]}
