"""Examples for the API's description. They tell one story, so that they work one after the other."""

from typing import Any

from pydantic import JsonValue

CUSTOMER_ID = "0f8c2f5e-3b7a-4c1d-9e64-2a5b7d90c001"
PRODUCT_ID = "0f8c2f5e-3b7a-4c1d-9e64-2a5b7d90c002"
ORDER_ID = "0f8c2f5e-3b7a-4c1d-9e64-2a5b7d90c003"


def example(**fields: JsonValue) -> dict[str, Any]:
    """Give a model an example, named as on the wire: `class Rename(Input, json_schema_extra=example(name="Ada"))`."""
    return {"examples": [fields]}
