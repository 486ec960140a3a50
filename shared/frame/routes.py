"""Commands, queries and subscribers as contexts declare them; HTTP makes routes of them (http/declared.py)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate
from uuid import UUID

from shared.frame.messaging.envelope import Accepted, Metadata
from shared.frame.platform.input import Input, QueryInput
from shared.frame.platform.output import Answer
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_model import ReadModel
from shared.frame.read_side.read_your_writes import Wait

type CommandHandler[Command: Input, **Repositories] = Callable[Concatenate[Command, Repositories], Accepted]
"""Decides on the repositories that its parameters name (shared/frame/write_side/handlers.py)."""

type QueryHandler[Query: QueryInput] = Callable[[Served, Query, Wait], Awaitable[Answer | tuple[Answer, int | None]]]
"""Answers from the read model that serves. A document comes with its version, if it has one, for If-Match."""

type TableQuery[Query: QueryInput] = Callable[[Query, Wait], Awaitable[Answer | tuple[Answer, int]]]
"""Answers from the context's own tables, which always have the newest version."""


@dataclass(frozen=True, slots=True)
class Created:
    """The answer of a command that makes something new.

    Attributes:
        model: has one field, which gets the new aggregate's id.
        location: the new thing's path, without the prefix, with fields of the command and the answer in braces.
        id_of: gives the new thing's id if it is a part of the aggregate.
    """

    model: type[Answer]
    location: str
    id_of: Callable[[Any, Metadata], UUID] | None = None

    def answer(self, aggregate_id: UUID, command: Input, metadata: Metadata) -> Answer:
        """Name what is new."""
        [name] = self.model.model_fields
        id_ = aggregate_id if self.id_of is None else self.id_of(command, metadata)
        return self.model.model_validate({name: id_})


@dataclass(frozen=True, slots=True)
class CommandRoute:
    """A declared command.

    Attributes:
        name: the function's name in Azure, unique in the app.
        method: the HTTP method.
        path: the route's template, without the prefix.
        handler: decides; its first parameter is the command's input.
        input: the model of that parameter.
        role: what a caller needs.
        own: whether owners may use it too, for their own things.
        created: the answer of a command that makes something new.
    """

    name: str
    method: str
    path: str
    handler: Callable[..., Accepted]
    input: type[Input]
    role: str | None
    own: bool
    created: Created | None


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Another system that subscribes to a context's events; each aggregate's events form a session.

    Attributes:
        name: the subscription's name.
        events: the types of events that the subscription receives.
    """

    name: str
    events: Sequence[str]


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook that another system calls; other attributes are as in CommandRoute.

    Attributes:
        signature_header: the header with the other system's signature, which is its credential.
        receive: takes the body and that header, on a thread.
    """

    name: str
    path: str
    signature_header: str
    receive: Callable[[bytes, str | None], None]


@dataclass(frozen=True, slots=True)
class QueryRoute:
    """A declared query; other attributes are as in CommandRoute.

    Attributes:
        of: the read model that it reads; None if it reads the context's own tables.
        answer: the model of its handler's answer.
        can_miss: whether it may find nothing (404) though its path names nothing.
    """

    name: str
    path: str
    handler: QueryHandler[Any] | TableQuery[Any]
    input: type[QueryInput]
    answer: type[Answer]
    of: ReadModel[Any] | None
    role: str | None
    own: bool
    can_miss: bool = False
