"""The base of all answers: camelCase names, amounts as decimal strings."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.kernel.money import in_major_units


class Answer(BaseModel):
    """A JSON object that a query or a command answers."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        defer_build=True,
        hide_input_in_errors=True,  # it is in stored documents, and errors are logged
    )

    @property
    def holds_secret(self) -> bool:
        """Whether no cache may keep it, not even the caller's own."""
        return False


Amount = Annotated[str, Field(pattern=r"^\d+(\.\d+)?$", examples=["19.90"])]
"""Major units, with exactly the currency's digits."""
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-22T05:20:27.012345Z"])]
"""A moment in UTC, as `times.utc_text` writes it."""


class CurrencyAmount(Answer):
    """An amount in one currency."""

    currency: str
    amount: Amount


def amount(minor: int, currency: str | None) -> str:
    """Write minor units as a decimal string; where there is no currency yet, it is 0."""
    return "0" if currency is None else in_major_units(int(minor), currency)
