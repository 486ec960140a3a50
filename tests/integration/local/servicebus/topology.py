"""Configurations in a few words."""

from typing import Any


def config(*queues: dict[str, Any], topics: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """Return a configuration in the format of the emulator's Config.json."""
    namespace = {"Name": "sbemulatorns", "Queues": list(queues), "Topics": list(topics)}
    return {"UserConfig": {"Namespaces": [namespace]}}


def queue(name: str, **properties: Any) -> dict[str, Any]:
    """Return a queue, or a topic without subscriptions."""
    return {"Name": name, "Properties": properties}


def topic(name: str, *subscriptions: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """Return a topic."""
    return {"Name": name, "Properties": properties, "Subscriptions": list(subscriptions)}


def sql_rule(expression: str) -> dict[str, Any]:
    """Return a rule with a SQL filter."""
    return {"Name": "rule", "Properties": {"FilterType": "Sql", "SqlFilter": {"SqlExpression": expression}}}
