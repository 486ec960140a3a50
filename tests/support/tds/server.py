"""The server that a test starts."""

import itertools
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from tests.support.odbc import driver
from tests.support.tds.connection import Connection, Ended, How
from tests.support.tds.messages import Answering, Answers, Request
from tests.support.tds.ordinary import ordinary
from tests.support.tds.session import Session

USER, PASSWORD, DATABASE = "tandem", "no-secret", "tandem"


class Server:
    """What a test sees of the server.

    Attributes:
        answer: what it answers; may be replaced at any time. It runs in the connection's thread, and may block.
        recovers: whether it offers to take up sessions that were lost, as Azure SQL does.
    """

    def __init__(self, answer: Answering, *, recovers: bool) -> None:
        self.answer = answer
        self.recovers = recovers
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._failures: list[Exception] = []
        self._numbers = itertools.count(1)
        self._open: list[Connection] = []
        self._listener = _Listener(("127.0.0.1", 0), self)

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return int(self._listener.server_address[1])

    @property
    def odbc(self) -> str:
        """The connection string of Microsoft's driver, with user and password."""
        address = f"DRIVER={{{driver()}}};SERVER=127.0.0.1,{self.port};DATABASE={DATABASE}"
        return f"{address};UID={USER};PWD={PASSWORD};Encrypt=no"

    @property
    def url(self) -> str:
        """The same as SQLAlchemy's URL."""
        return sa.make_url(self.url_for_token).set(username=USER, password=PASSWORD).render_as_string(False)

    @property
    def url_for_token(self) -> str:
        """The same without user and password, for a client that brings an access token."""
        query = {"driver": str(driver()), "Encrypt": "no"}
        return str(sa.URL.create("mssql+pyodbc", None, None, "127.0.0.1", self.port, DATABASE, query))

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order of their arrival."""
        with self._lock:
            return list(self._requests)

    @property
    def asked(self) -> list[str]:
        """What each of them asks for: the procedure's name, or the request's kind."""
        return [request.procedure or request.kind for request in self.requests]

    @property
    def connections(self) -> int:
        """How many logins there were."""
        return sum(request.kind == "login" for request in self.requests)

    def forget(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self._requests.clear()

    def end_connections(self, how: How = "RST") -> None:
        """End all that are open, as a failover does; a client whose connection is idle learns of it later."""
        with self._lock:
            ending = list(self._open)
        for connection in ending:
            connection.ask_to_end(how)

    def hear(self, request: Request) -> Answers:
        """Keep a request; gives its answer."""
        with self._lock:
            self._requests.append(request)
        if request.kind == "attention":
            return None
        answers = self.answer(request)
        return ordinary(request) if answers is None else answers

    def serve(self, connection: Connection) -> None:
        """Serve a connection to its end."""
        with self._lock:
            self._open.append(connection)
            number = next(self._numbers)
        try:
            Session(number, connection, self.hear, recovers=self.recovers).serve()
        except Ended:
            pass
        except Exception as error:  # noqa: BLE001  # the test's own thread raises it in the end
            self._failures.append(error)
        finally:
            with self._lock:
                self._open.remove(connection)
            connection.close()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Listen, until the end of the block."""
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield
        finally:
            self._listener.shutdown()
            self.end_connections("FIN")
            self._listener.server_close()
        if self._failures:
            raise ExceptionGroup("the TDS server failed", self._failures)


@contextmanager
def tds_server(answer: Answering = ordinary, *, recovers: bool = True) -> Iterator[Server]:
    """Run a server until the end of the block, in this process.

    A client in the same process must not hold Python's lock while it waits. For `fast_executemany` pyodbc does, in
    SQLDescribeParam, and so waits for ever: such a client belongs into a process of its own.

    Args:
        answer: gives the answer to each request but ATTENTION; None leaves it to `ordinary`.
        recovers: whether it offers to take up sessions that were lost, as Azure SQL does.

    Raises:
        ExceptionGroup: the server itself failed, or `answer` did.
    """
    server = Server(answer, recovers=recovers)
    with server.running():
        yield server


class _Listener(socketserver.ThreadingTCPServer):
    request_queue_size = 128
    daemon_threads = False  # they end with their connections, and server_close waits for them

    def __init__(self, address: tuple[str, int], server: Server) -> None:
        self.tds = server
        super().__init__(address, _Handler)


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Listener)
        self.server.tds.serve(Connection(self.request))
