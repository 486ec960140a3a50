"""What a client asks ([MS-TDS] 2.2.6), and what a test may have the server answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["login", "batch", "rpc", "transaction", "attention"]


@dataclass(frozen=True)
class Login:
    """Who signs in, and how. Of what the driver sends, that which a test may ask about.

    Attributes:
        password: as it was typed; "" beside a token.
        token: the access token; None beside a password.
        resumes: whether it takes up a session that was lost (the driver's ConnectRetryCount).
    """

    user: str
    password: str
    database: str
    application: str
    token: str | None
    resumes: bool


@dataclass(frozen=True)
class Request:
    """One request, and so one round trip, but for those that came along with another.

    Attributes:
        connection: its number; the first is 1.
        kind: a login, SQL text alone, a call of a procedure, a transaction's begin or end, or a time-out's ATTENTION.
        text: the SQL, which `sp_execute` and `sp_unprepare` have from when it was prepared; of a transaction's request
            BEGIN, COMMIT or ROLLBACK.
        procedure: the procedure of an rpc.
        declaration: of its parameters: `@P1 nvarchar(max),@P2 int`.
        values: the parameters' values.
        handle: the prepared statement's, where it names or makes one.
        resets: the session is to be as new first, as a pool of the driver's own wants it.
        along: it came in one message with the one before, and is no round trip of its own.
        size: bytes of the message.
        login: who signs in.
        in_transaction: whether a transaction is open; of a transaction's request, behind it.
    """

    connection: int
    kind: Kind
    text: str = ""
    procedure: str = ""
    declaration: str = ""
    values: tuple[Any, ...] = ()
    handle: int | None = None
    resets: bool = False
    along: bool = False
    size: int = field(default=0, compare=False)
    login: Login | None = None
    in_transaction: bool = field(default=False, compare=False)

    @property
    def prepares(self) -> bool:
        """Whether it is about a statement that does not run: to prepare it, to describe it, to give it up."""
        return self.procedure in {"sp_prepare", "sp_unprepare", "sp_describe_undeclared_parameters"}


@dataclass(frozen=True)
class Done:
    """So many rows were changed; None tells no count, as under SET NOCOUNT ON."""

    rows: int | None = 0


@dataclass(frozen=True)
class Rows:
    """A result: columns as (name, type as T-SQL writes it), and rows."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Any]] = ()


@dataclass(frozen=True)
class Error:
    """An error as SQL Server tells it; the statement ends with it. From severity 20 on, so does the connection."""

    number: int
    message: str = "as the test wants it"
    state: int = 1
    severity: int = 16


@dataclass(frozen=True)
class Delay:
    """So many seconds pass first; an ATTENTION ends them and all that was to follow."""

    seconds: float


@dataclass(frozen=True)
class Silence:
    """No answer ever; the ATTENTION that comes after a time-out is answered if `acknowledges`."""

    acknowledges: bool = False


@dataclass(frozen=True)
class Reset:
    """The connection breaks off: RST."""


@dataclass(frozen=True)
class Cut:
    """The connection ends: FIN, in place of the rest of the answer."""


Answer = Done | Rows | Error | Delay | Silence | Reset | Cut
Answers = Answer | Sequence[Answer] | None
"""Several come one after the other, as the results of a batch do; None leaves it to the server's own answer."""

Answering = Callable[[Request], Answers]


def when(text: str, *answers: Answers) -> Answering:
    """Answer the requests in whose text this is, when it runs: one after the other, later ones as the server would."""
    left = list(answers)

    def answer(request: Request) -> Answers:
        return left.pop(0) if left and text in request.text and not request.prepares else None

    return answer
