"""One client's session: its requests, told to the test, and the answers, written."""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tests.support.tds import requests, tokens
from tests.support.tds.connection import PACKET, Connection, Message
from tests.support.tds.messages import Answer, Answers, Cut, Delay, Done, Error, Request, Reset, Rows, Silence

_BATCH, _RPC, _ATTENTION, _TRANSACTION, _LOGIN, _PRELOGIN = 1, 3, 6, 14, 16, 18
_VERSION, _ENCRYPTION, _TOKEN_WANTED = 0, 1, 6
_ENCRYPTION_NOT_SUPPORTED = b"\x02"
_FATAL = 20
"""From this severity on an error ends its connection."""
_NOCOUNT = re.compile(r"\bSET\s+(?:\w+\s*,\s*)*NOCOUNT\s*(?:,\s*\w+\s*)*\b(ON|OFF)\b", re.IGNORECASE)


class Session:
    """What a server keeps of a connection: what is prepared, whether a transaction is open, and rows are counted."""

    def __init__(
        self, number: int, connection: Connection, hear: Callable[[Request], Answers], *, recovers: bool
    ) -> None:
        self._number = number
        self._connection = connection
        self._hear = hear
        self._recovers = recovers
        self._prepared: dict[int, tuple[str, str]] = {}
        self._handles = itertools.count(1)
        self._transactions = itertools.count(1)
        self._transaction: bytes | None = None
        self._silence: Silence | None = None
        self._counts = True

    def serve(self) -> None:
        """Answer one message after the other.

        Raises:
            Ended: the connection is over.
        """
        handlers = {
            _PRELOGIN: self._greet,
            _LOGIN: self._login,
            _BATCH: self._batch,
            _RPC: self._call,
            _TRANSACTION: self._transact,
            _ATTENTION: self._attend,
        }
        while True:
            self._connection.wait()
            message = self._connection.read()
            if message.kind not in handlers:
                raise ValueError(f"a message that is not spoken here: type {message.kind}")
            handlers[message.kind](message)

    def _request(self, message: Message) -> Request:
        return Request(
            self._number,
            "batch",
            resets=message.resets,
            size=len(message.data),
            in_transaction=self._transaction is not None,
        )

    def _greet(self, message: Message) -> None:
        options = requests.read_prelogin(message.data)
        answered = {_VERSION: tokens.version() + bytes(2), _ENCRYPTION: _ENCRYPTION_NOT_SUPPORTED}
        if options.get(_TOKEN_WANTED) == b"\x01":
            answered[_TOKEN_WANTED] = b"\x01"
        self._connection.write(requests.prelogin(answered))

    def _login(self, message: Message) -> None:
        login, features = requests.read_login(message.data)
        acknowledged = {requests.FEATURE_TOKEN: b""} if requests.FEATURE_TOKEN in features else {}
        if self._recovers and requests.FEATURE_RECOVERY in features:
            acknowledged[requests.FEATURE_RECOVERY] = b""
        request = replace(self._request(message), kind="login", login=login)
        self._answer(request, effect=tokens.signed_in(login.database, PACKET, acknowledged))

    def _batch(self, message: Message) -> None:
        self._answer(replace(self._request(message), text=requests.read_batch(message.data)))

    def _transact(self, message: Message) -> None:
        verb, begins = requests.read_transaction(message.data)
        effect = b""
        if self._transaction is not None:
            ended = tokens.COMMITTED if verb == "COMMIT" else tokens.ROLLED_BACK
            effect += tokens.transaction(ended, self._transaction)
            effect += tokens.recoverable(yes=True)
            self._transaction = None
        if begins or verb == "BEGIN":
            self._transaction = next(self._transactions).to_bytes(8, "little")
            effect += tokens.transaction(tokens.BEGUN, self._transaction) + tokens.recoverable(yes=False)
        self._answer(replace(self._request(message), kind="transaction", text=verb), effect=effect)

    def _call(self, message: Message) -> None:
        calls = list(requests.read_calls(message.data))
        for index, (procedure, arguments) in enumerate(calls):
            request = replace(self._request(message), kind="rpc", procedure=procedure, along=index > 0)
            request = self._understood(request, arguments)
            made = request.handle if procedure in {"sp_prepexec", "sp_prepare"} else None
            self._answer(request, end=tokens.returned(made), more=index < len(calls) - 1)

    def _understood(self, request: Request, arguments: Sequence[Any]) -> Request:
        handle: int | None = None
        declaration, text, values = "", "", list(arguments)
        match request.procedure, arguments:
            case "sp_prepexec" | "sp_prepare", [before, declared, text, *rest]:
                self._prepared.pop(before, None)  # the driver gives up what the cursor prepared before
                handle, declaration = next(self._handles), declared or ""
                self._prepared[handle] = (declaration, text)
                values = rest if request.procedure == "sp_prepexec" else []  # the other's is an option
            case "sp_execute", [int() as handle, *values]:
                declaration, text = self._prepared[handle]
            case "sp_unprepare", [int() as handle]:
                (declaration, text), values = self._prepared.pop(handle), []
            case "sp_executesql", [text, declaration, *values]:
                pass
            case _, [str() as text, *values]:
                pass
        return replace(request, text=text, declaration=declaration, values=tuple(values), handle=handle)

    def _attend(self, message: Message) -> None:
        self._hear(replace(self._request(message), kind="attention"))
        if self._silence is None or self._silence.acknowledges:
            self._connection.write(tokens.done(tokens.DONE, tokens.ATTENTION))

    def _answer(self, request: Request, *, effect: bytes = b"", end: bytes = b"", more: bool = False) -> None:
        """Ask the test, and write what it wants.

        Args:
            request: what is asked.
            effect: what tells of the request's effect, if it has no error.
            end: what ends a procedure; "" is for others, whose last statement ends the answer.
            more: whether another procedure's answer follows in the same message.
        """
        answers = _several(self._hear(request))
        counts = self._counts_in(request)
        self._silence = None
        statement = tokens.DONE_INSIDE if end else tokens.DONE
        data = b""
        for index, answer in enumerate(answers):
            if isinstance(answer, Done | Rows | Error):
                last = index == len(answers) - 1
                told = answer if counts or not isinstance(answer, Done) else Done(None)
                data += self._result(told, statement, effect if last else b"", more=bool(end) or not last)
                continue
            if data:
                self._connection.write(data, last=False)
                data = b""
            match answer:
                case Delay(seconds) if self._connection.wait(seconds):
                    return  # an ATTENTION, or a client that is gone: who waits for messages reads it
                case Silence():
                    self._silence = answer
                    return
                case Reset():
                    self._connection.end("RST")
                case Cut():
                    self._connection.end("FIN")
        if end:
            data += end + tokens.done(tokens.DONE_PROCEDURE, tokens.MORE * more | self._open)
        self._connection.write(data, last=not more)
        if any(isinstance(each, Error) and (each.severity >= _FATAL or request.kind == "login") for each in answers):
            self._connection.end("FIN")

    def _counts_in(self, request: Request) -> bool:
        """Tell whether rows are counted; a batch may say so for all that follows, a procedure for itself alone."""
        if request.resets:
            self._counts = True
        said = [] if request.prepares else _NOCOUNT.findall(request.text)
        counts = said[-1].upper() == "OFF" if said else self._counts
        if request.kind == "batch":
            self._counts = counts
        return counts

    def _result(self, answer: Done | Rows | Error, token: int, effect: bytes, *, more: bool) -> bytes:
        status = tokens.MORE * more | self._open
        match answer:
            case Error():
                return tokens.error(answer) + tokens.done(token, status | tokens.FAILED)
            case Rows():
                return tokens.result(answer) + effect + tokens.done(token, status | tokens.COUNTS, len(answer.rows))
            case Done(None):
                return effect + tokens.done(token, status)
            case Done(rows):
                return effect + tokens.done(token, status | tokens.COUNTS, rows or 0)

    @property
    def _open(self) -> int:
        return tokens.IN_TRANSACTION if self._transaction is not None else 0


def _several(answers: Answers) -> list[Answer]:
    several = [] if answers is None else list(answers) if isinstance(answers, Sequence) else [answers]
    if not several or isinstance(several[-1], Delay):
        several.append(Done(0))
    return several
