"""How triggers subscribe to topics."""

from typing import TypedDict

import azure.functions as func


class Subscription(TypedDict):
    """The arguments of a topic trigger."""

    arg_name: str
    topic_name: str
    subscription_name: str
    connection: str
    is_sessions_enabled: bool
    data_type: func.DataType


def subscription(topic: str, name: str) -> Subscription:
    """Subscribe with sessions, one message at a time.

    Binary, because the host would else take top-level properties of a JSON body for the message's own metadata.
    """
    return {
        "arg_name": "message",
        "topic_name": topic,
        "subscription_name": name,
        "connection": "ServiceBusConnection",
        "is_sessions_enabled": True,
        "data_type": func.DataType.BINARY,
    }
