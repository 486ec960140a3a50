"""An error tells which field is wrong, and never what stands there: logs and the audit trail keep what it says."""

import json
import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import BaseModel

from shared.frame.messaging.codec import UnfitPayload
from shared.frame.messaging.wire import from_body, to_body
from shared.frame.operations.errors import described
from shared.frame.platform.input import Input, QueryInput
from shared.frame.platform.output import Answer
from tests.support.app import app_globals
from tests.unit.messaging.test_published_events import CODECS, ENVELOPE, EVENTS, golden

OWN = "7 Rue du Secret"


def damaged(value: Any) -> Iterator[Any]:
    """The same JSON, with one thing in it made wrong in turn, by what is somebody's own."""
    yield {"own": OWN}
    yield [OWN]
    yield OWN
    match value:
        case dict():
            for name in value:
                yield {other: OWN if isinstance(value[other], str) else value[other] for other in value} | {name: 7.5}
                yield {other: value[other] for other in value if other != name} | {"own": OWN}
                for wrong in damaged(value[name]):
                    yield value | {name: wrong}
        case list() if value:
            for wrong in damaged(value[0]):
                yield [wrong, *value[1:]]


@pytest.mark.parametrize(("context", "kind"), EVENTS)
def test_an_event_that_does_not_fit_is_told_without_what_it_says(context: str, kind: type) -> None:
    said = []
    for payload in damaged(golden(context, kind.__name__)["payload"]):
        try:
            CODECS[context].open(replace(ENVELOPE, type=kind.__name__, payload=json.dumps(payload)))
        except UnfitPayload as error:
            said.append("".join(traceback.format_exception(error)) + described(error))
    assert len(said) > 5
    assert [text for text in said if OWN in text or "input_value" in text or len(text) > 5_000] == []


@pytest.mark.parametrize(
    "attribute",
    [
        *("id", "subject", "time", "type", "aggregateversion", "commandid", "correlationid", "causationid", "actor"),
        *("traceparent", None),
    ],
)
def test_a_message_that_is_no_event_is_told_without_what_it_says(attribute: str | None) -> None:
    event = json.loads(to_body(replace(ENVELOPE, payload="{}"), "ordering"))
    bodies = [OWN.encode(), json.dumps([OWN]).encode(), b"\xff" + OWN.encode()]
    if attribute is not None:
        bodies = [json.dumps(event | {attribute: wrong}).encode() for wrong in (OWN, [OWN], {OWN: 1})]
    said = []
    for body in bodies:
        try:
            from_body(body)
        except ValueError as error:
            said.append("".join(traceback.format_exception(error)))
    assert len(said) >= 2, "neither a list nor an object is taken"
    assert [text for text in said if OWN in text] == []


@pytest.mark.parametrize("attribute", ["type", "commandid", "correlationid", "causationid", "actor", "traceparent"])
def test_an_attribute_that_is_no_text_is_named(attribute: str) -> None:
    event = json.loads(to_body(replace(ENVELOPE, payload="{}"), "ordering"))
    with pytest.raises(ValueError, match=f"no event of this system: {attribute} is no text"):
        from_body(json.dumps(event | {attribute: [OWN]}).encode())


def _models(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def test_every_model_hides_what_it_refuses() -> None:
    app_globals()
    models = [model for base in (Input, QueryInput, Answer) for model in (base, *_models(base))]
    assert len(models) > 40
    for model in models:
        assert model.model_config["hide_input_in_errors"], model
    for model in BaseModel.__subclasses__():
        assert not model.__module__.startswith("shared.") or model in {Input, QueryInput, Answer}, model


def test_a_database_s_words_are_not_repeated() -> None:
    words = f"[22001] String or binary data would be truncated. Truncated value: '{OWN}'. (2628) (SQLExecDirectW)"
    error = sa.exc.DataError("INSERT", {}, Exception("22001", words))
    assert described(error) == "DataError: number 2628"
