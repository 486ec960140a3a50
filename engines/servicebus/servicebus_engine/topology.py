"""The configuration file: which queues, topics and subscriptions there are.

The format is that of the official emulator's Config.json, so that one file serves both:
https://learn.microsoft.com/azure/service-bus-messaging/test-locally-with-service-bus-emulator.
Where a property is absent, Azure's default holds. A property that is not known here is refused, because ignoring it
would give a wrong result.
"""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_pascal

_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_NOT_A_LINE_END = re.compile(r"[^\n]")


class TopologyError(Exception):
    """The configuration cannot be used; the message names every fault."""


class _Section(BaseModel):
    model_config = ConfigDict(alias_generator=to_pascal, extra="forbid", frozen=True)


def _none_if_empty(value: Any) -> Any:
    return None if value == "" else value


type _Duration = Annotated[timedelta, Field(gt=timedelta(0))]
type _Reference = Annotated[str | None, BeforeValidator(_none_if_empty)]


class CorrelationFilter(_Section):
    """Matches messages whose named properties all have the given values."""

    content_type: str | None = None
    correlation_id: str | None = None
    label: str | None = None
    message_id: str | None = None
    reply_to: str | None = None
    reply_to_session_id: str | None = None
    session_id: str | None = None
    to: str | None = None
    properties: dict[str, str | bool | int | float] = {}


class SqlFilter(_Section):
    """Matches messages for which an expression is true."""

    sql_expression: str


class RuleProperties(_Section):
    """The filter of a rule. Actions are not supported."""

    filter_type: Literal["Correlation", "Sql"]
    correlation_filter: CorrelationFilter | None = None
    sql_filter: SqlFilter | None = None

    @model_validator(mode="after")
    def _has_its_filter(self) -> Self:
        expected = self.correlation_filter if self.filter_type == "Correlation" else self.sql_filter
        if expected is None:
            raise ValueError(f"{self.filter_type}Filter is missing")
        return self


class Rule(_Section):
    """One way for a message to come into a subscription."""

    name: str
    properties: RuleProperties


class ReceivingProperties(_Section):
    """What queues and subscriptions have in common."""

    dead_lettering_on_message_expiration: bool = False
    default_message_time_to_live: _Duration | None = None
    forward_dead_lettered_messages_to: _Reference = None
    forward_to: _Reference = None
    lock_duration: _Duration = timedelta(minutes=1)
    max_delivery_count: Annotated[int, Field(ge=1)] = 10
    requires_session: bool = False


class SendingProperties(_Section):
    """What queues and topics have in common."""

    default_message_time_to_live: _Duration | None = None
    duplicate_detection_history_time_window: _Duration = timedelta(minutes=10)
    requires_duplicate_detection: bool = False


class QueueProperties(ReceivingProperties, SendingProperties):
    """A queue is sent to and received from."""


class QueueConfig(_Section):
    """A queue."""

    name: str
    properties: QueueProperties = QueueProperties()


class SubscriptionConfig(_Section):
    """A subscription; without rules every message comes in."""

    name: str
    properties: ReceivingProperties = ReceivingProperties()
    rules: list[Rule] = []


class TopicConfig(_Section):
    """A topic."""

    name: str
    properties: SendingProperties = SendingProperties()
    subscriptions: list[SubscriptionConfig] = []


class Topology(_Section):
    """One namespace."""

    name: str
    queues: list[QueueConfig] = []
    topics: list[TopicConfig] = []

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        seen: set[str] = set()
        names = [queue.name for queue in self.queues] + [topic.name for topic in self.topics]
        names += [f"{topic.name}/{subscription.name}" for topic in self.topics for subscription in topic.subscriptions]
        for name in names:
            if name.lower() in seen:
                raise ValueError(f"the name '{name}' is used twice")
            seen.add(name.lower())
        return self


class _Logging(_Section):
    type: str = "Console"


class _UserConfig(_Section):
    namespaces: Annotated[list[Topology], Field(min_length=1, max_length=1)]
    logging: _Logging = _Logging()


class _Document(_Section):
    user_config: _UserConfig


def read_topology(path: Path) -> Topology:
    """Return the namespace that a configuration file describes.

    Raises:
        TopologyError: the file cannot be read or has something that is not supported.
    """
    try:
        document = json.loads(_without_comments(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise TopologyError(f"{path}: {error}") from error
    return parse_topology(document, str(path))


def _without_comments(text: str) -> str:
    """Blank out the comments, which the official emulator's own Config.json has; the lines keep their numbers."""
    return _STRING_OR_COMMENT.sub(
        lambda found: found[0] if found[0][0] == '"' else _NOT_A_LINE_END.sub(" ", found[0]), text
    )


def parse_topology(document: Any, origin: str) -> Topology:
    """Return the namespace in a parsed configuration; `origin` names it in errors.

    Raises:
        TopologyError: it has something that is not supported.
    """
    try:
        return _Document.model_validate(document).user_config.namespaces[0]
    except ValidationError as error:
        faults = [f"{_readable(document, fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        raise TopologyError("\n".join(f"{origin}: {fault}" for fault in faults)) from error


def _readable(document: Any, location: tuple[int | str, ...]) -> str:
    """Write the place of a fault with the names of the entities it lies in, not with their positions."""
    parts = []
    value = document
    for step in location:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            value = None
        named = isinstance(step, int) and isinstance(value, dict) and "Name" in value
        parts.append(f"'{value['Name']}'" if named else str(step))
    return ".".join(parts)
