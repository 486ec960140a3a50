"""The events' description in AsyncAPI 3.0, made from their classes and from what the contexts declare.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from shared.frame.context import Context
from shared.frame.http import openapi_parts as parts
from shared.frame.http.openapi import SCHEMAS, Untitled
from shared.frame.messaging.wire import CONTENT_TYPE, PREFIX

type Schema = dict[str, Any]
type AnyContext = Context[Any]

INFO = {
    "title": "Tandem's events",
    "version": parts.VERSION,
    "description": """\
Each event is a CloudEvent 1.0 in JSON, in a message of an Azure Service Bus topic. The message's subject is the event's
type, its id the event's id, its session the aggregate, whose events stand in order there.

A type never changes incompatibly: what has to look different is a new type, `...V2`. Fields may be added; pass over
what you do not know. An event may come twice: its `id` tells. What an event says of a person is not in its message:
null stands there, or the word `withheld`; the API has it, as long as it is held. `x-subscriptions` names the
subscriptions of a channel.
""",
    "license": {"name": "MIT"},
}

ATTRIBUTES: Mapping[str, Schema] = {
    "specversion": {"type": "string", "const": "1.0"},
    "id": {"type": "string", "format": "uuid", "description": "The event; the same when it is delivered again."},
    "source": {"type": "string", "format": "uri-reference", "description": "The context that it comes from."},
    "type": {"type": "string"},
    "subject": {
        "type": "string",
        "format": "uuid",
        "description": "The aggregate; also the session of its messages. What belongs to another, such as a product's "
        "stock, is an aggregate of its own, and `data` names what it belongs to.",
    },
    "time": {"type": "string", "format": "date-time", "description": "When it happened, in UTC."},
    "datacontenttype": {"type": "string", "const": "application/json"},
    "aggregateversion": {
        "type": "integer",
        "minimum": 1,
        "description": "Its place in the aggregate's history, without gaps: who has seen 4 awaits 5.",
    },
    "commandid": {"type": "string", "description": "The command that left it."},
    "correlationid": {"type": "string", "description": "The whole conversation."},
    "causationid": {"type": "string", "description": "What directly led to it."},
    "actor": {"type": "string", "description": "Who acted."},
    "traceparent": {"type": "string", "description": "W3C trace context of the command, where there was one."},
}
OPTIONAL = ("traceparent",)
IN_BODY_ONLY = ("datacontenttype",)


def document(contexts: Iterable[AnyContext]) -> Schema:
    """Describe the contexts' topics, the events in them, and who subscribes.

    Raises:
        ValueError: two contexts have different things of the same name.
    """
    contexts = list(contexts)
    return {
        "asyncapi": "3.0.0",
        "info": INFO,
        "defaultContentType": CONTENT_TYPE,
        "channels": {context.topic: _channel(context, contexts) for context in contexts},
        "operations": dict(chain(map(_publishes, contexts), *(_receives(each, contexts) for each in contexts))),
        "components": {
            "messages": {name: _message(name) for context in contexts for name in context.log.codec.names},
            "schemas": _schemas(contexts),
        },
    }


def _channel(context: AnyContext, contexts: Sequence[AnyContext]) -> Schema:
    own = [consumer for each in contexts for consumer in each.consumers if consumer.topic == context.topic]
    return {
        "address": context.topic,
        "description": f"What happens in {context.name}. A topic of Azure Service Bus.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in context.log.codec.names},
        "x-session": "subject",
        "x-duplicate-detection": "id",
        "x-subscriptions": [
            *({"name": each.subscription, "sessions": False, "internal": True} for each in own),
            *(
                {"name": each.name, "sessions": True, "internal": False, "events": list(each.events)}
                for each in context.subscribers
            ),
        ],
    }


def _publishes(context: AnyContext) -> tuple[str, Schema]:
    return f"publish-{context.topic}", {
        "action": "send",
        "summary": f"Tells what happened in {context.name}.",
        "channel": {"$ref": f"#/channels/{context.topic}"},
    }


def _receives(context: AnyContext, contexts: Sequence[AnyContext]) -> Iterable[tuple[str, Schema]]:
    codecs = {each.topic: each.log.codec for each in contexts}
    for consumer in context.consumers:
        written = set(codecs[consumer.topic].written)
        taken = (name for name in codecs[consumer.topic].names if name not in written or consumer.takes(name))
        described = {
            "action": "receive",
            "summary": f"Takes the events of {consumer.topic} in.",
            "channel": {"$ref": f"#/channels/{consumer.topic}"},
            "messages": [{"$ref": f"#/channels/{consumer.topic}/messages/{name}"} for name in taken],
            "x-subscription": consumer.subscription,
        }
        yield consumer.name, described


def _message(name: str) -> Schema:
    body = {**ATTRIBUTES, "type": {"type": "string", "const": name}, "data": {"$ref": SCHEMAS.format(model=name)}}
    properties: Schema = {
        f"{PREFIX}{attribute}": schema for attribute, schema in body.items() if attribute in _IN_PROPERTIES
    }
    return {
        "name": name,
        "title": name,
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "description": "The message's application properties, on which a subscription's rules can filter.",
            "properties": {
                "type": {"type": "string", "const": name},
                "aggregateVersion": ATTRIBUTES["aggregateversion"],
                "traceparent": {"type": "string", "description": "W3C trace context of the sending."},
                **properties,
            },
            "required": ["type", "aggregateVersion", *(each for each in properties if _needed(each))],
        },
        "payload": {"type": "object", "properties": body, "required": [each for each in body if _needed(each)]},
    }


_IN_PROPERTIES = ATTRIBUTES.keys() - set(IN_BODY_ONLY)


def _needed(name: str) -> bool:
    return name.removeprefix(PREFIX) not in OPTIONAL


def _schemas(contexts: Iterable[AnyContext]) -> Schema:
    schemas: Schema = {}
    for context in contexts:
        for name, schema in context.log.codec.schemas(SCHEMAS, Untitled).items():
            if schemas.setdefault(name, schema) != schema:
                raise ValueError(f"{name} of {context.name} is the name of another context's")
    return schemas
