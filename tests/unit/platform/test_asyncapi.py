"""The events' description: valid AsyncAPI, and at one with the classes, the golden files and the topology."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from shared.frame.http.asyncapi import document
from shared.frame.http.openapi import SCHEMAS, Untitled
from tests.support.app import app_globals
from tests.support.clients import node_modules
from tests.support.compatibility import incompatibilities
from tests.support.rules import is_own, lets_in
from tests.support.stack import ROOT

HERE = Path(__file__).parent
TOPOLOGY = json.loads((ROOT / "infra/local/servicebus.json").read_text(encoding="utf-8"))

type Json = dict[str, Any]


@pytest.fixture(scope="module")
def described() -> Json:
    return document(app_globals()["contexts"])


@pytest.fixture(scope="module")
def specification() -> jsonschema_rs.Draft7Validator:
    """AsyncAPI's own schema, from its package for JavaScript."""
    schemas = node_modules(HERE / "asyncapi") / "@asyncapi" / "specs" / "schemas"
    return jsonschema_rs.Draft7Validator(json.loads((schemas / "3.0.0-without-$id.json").read_text(encoding="utf-8")))


def test_the_description_is_valid_asyncapi_3(described: Json, specification: jsonschema_rs.Draft7Validator) -> None:
    assert [f"{error.instance_path}: {error.message}" for error in specification.iter_errors(described)] == []


def test_that_schema_notices_a_mistake(described: Json, specification: jsonschema_rs.Draft7Validator) -> None:
    operations = described["operations"] | {"lost": {"action": "shout", "channel": {"$ref": "#/channels/order-events"}}}
    assert not specification.is_valid(described | {"operations": operations})


def test_every_reference_leads_somewhere(described: Json) -> None:
    def references(value: Any) -> list[str]:
        match value:
            case dict():
                own = [value["$ref"]] if "$ref" in value else []
                return own + [each for inner in value.values() for each in references(inner)]
            case list():
                return [each for inner in value for each in references(inner)]
            case _:
                return []

    found = set(references(described))
    assert found
    for reference in found:
        place: Any = described
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_every_version_of_every_event_is_a_message_with_the_schema_that_was_published(described: Json) -> None:
    golden = {path.stem: json.loads(path.read_text()) for path in (ROOT / "tests/unit").glob("*/golden/*.json")}
    assert described["components"]["messages"].keys() == golden.keys()
    for name, file in golden.items():
        schemas = described["components"]["schemas"]
        now = schemas[name] | {"components": {"schemas": schemas}}
        assert incompatibilities(file["schema"], now) == [], name


def test_channels_and_subscriptions_are_those_of_the_engine(described: Json) -> None:
    [namespace] = TOPOLOGY["UserConfig"]["Namespaces"]
    expected = {
        topic["Name"]: {
            each["Name"]: (
                each["Properties"]["RequiresSession"],
                [] if is_own(each) else [rule["Properties"]["CorrelationFilter"]["Label"] for rule in each["Rules"]],
            )
            for each in topic["Subscriptions"]
        }
        for topic in namespace["Topics"]
    }
    assert expected == {
        name: {each["name"]: (each["sessions"], each.get("events", [])) for each in channel["x-subscriptions"]}
        for name, channel in described["channels"].items()
    }


def test_what_a_consumer_receives_is_what_its_rule_lets_in(described: Json) -> None:
    received = [each for each in described["operations"].values() if each["action"] == "receive"]
    assert len(received) > 8
    for operation in received:
        topic = operation["channel"]["$ref"].rpartition("/")[2]
        messages = [each["$ref"].rpartition("/")[2] for each in operation["messages"]]
        names = described["channels"][topic]["messages"]
        assert messages == [name for name in names if lets_in(topic, operation["x-subscription"], name)]


def test_two_contexts_cannot_have_different_things_of_one_name() -> None:
    contexts = app_globals()["contexts"]
    codec = contexts[1].log.codec
    schemas = codec.schemas(SCHEMAS, Untitled)

    class Other:
        names = written = codec.names

        @staticmethod
        def schemas(*_: Any) -> Json:
            return {"OrderLine": {"type": "string"}, **schemas}

    contexts[1].log.codec, kept = Other, codec
    try:
        with pytest.raises(ValueError, match="OrderLine of catalog"):
            document(contexts)
    finally:
        contexts[1].log.codec = kept
