"""`servicebus-engine --config FILE --data DIR`, or `python -m servicebus_engine`: run until SIGTERM or Ctrl-C."""

import _thread
import argparse
import logging
import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path

from proton.reactor import Container

from servicebus_engine.broker import Broker
from servicebus_engine.links import now
from servicebus_engine.namespace import Namespace
from servicebus_engine.sockets import ServiceBusIO
from servicebus_engine.store import Store, StoreInUseError, StoreShapeError
from servicebus_engine.topology import TopologyError, read_topology

logger = logging.getLogger("servicebus_engine")


def main() -> int:
    """Serve until a signal comes; returns the exit code."""
    arguments = _arguments()
    logging.basicConfig(
        level=arguments.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    logging.getLogger("proton").setLevel(logging.CRITICAL)  # its errors are clients that hung up
    try:
        store = Store(_file(arguments.data))
        namespace = Namespace(read_topology(arguments.config), store, now)
    except (TopologyError, StoreInUseError, StoreShapeError) as error:
        logger.error("%s", error)  # noqa: TRY400 (the fault is the user's: one line, no traceback)
        return 1
    except (OSError, sqlite3.Error) as error:
        logger.error("cannot open the data in %s: %s", arguments.data, error)  # noqa: TRY400 (as above)
        return 1
    broker = Broker(namespace, store)
    container = Container(broker, global_handler=ServiceBusIO())
    for port, service in ((arguments.health_port, "health on"), (arguments.port, "listening on")):
        if port is None:
            continue
        try:
            acceptor = container.listen(f"{arguments.host}:{port}")
        except OSError as error:
            logger.error("cannot listen on %s:%d: %s", arguments.host, port, error.strerror)  # noqa: TRY400 (as above)
            return 1
        address = acceptor._selectable.getsockname()  # noqa: SLF001 (proton has no other way to tell the port it got)
        logger.info("%s %s:%d", service, *address)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: broker.stop())
    if arguments.with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    container.run()
    store.close()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="servicebus-engine", description="Azure Service Bus for a laptop.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5672, help="0 takes a free one, which the log names")
    parser.add_argument(
        "--health-port",
        type=lambda text: None if text == "none" else int(text),
        default=5300,
        help="where GET /health is answered, beside the other; none for none (default: %(default)s)",
    )
    parser.add_argument("--config", type=Path, default=Path("Config.json"), help="the entities (default: %(default)s)")
    parser.add_argument("--data", required=True, help="directory for the messages, or :memory:")
    parser.add_argument("--with-stdin", action="store_true", help="end when standard input does: with the parent")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return parser.parse_args()


def _end_with_stdin() -> None:
    """End when the parent process closes the pipe, or has ended in any way: the system then closes the pipe."""
    while os.read(0, 1):
        pass
    if sys.platform == "win32":
        _thread.interrupt_main(signal.SIGINT)  # os.kill would end the process there and then
    else:
        os.kill(os.getpid(), signal.SIGTERM)


def _file(data: str) -> Path | None:
    if data == ":memory:":
        return None
    directory = Path(data)
    directory.mkdir(parents=True, exist_ok=True)
    return directory / "servicebus.sqlite"


if __name__ == "__main__":
    sys.exit(main())
