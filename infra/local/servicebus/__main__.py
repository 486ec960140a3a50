"""Command line: `python -m infra.local.servicebus --config infra/local/servicebus.json --data DIR`."""

import argparse
import logging
import signal
import sys
from pathlib import Path

from proton.reactor import Container

from infra.local.servicebus.broker import Broker
from infra.local.servicebus.links import now
from infra.local.servicebus.namespace import Namespace
from infra.local.servicebus.store import Store, StoreInUseError
from infra.local.servicebus.topology import TopologyError, read_topology

logger = logging.getLogger("infra.local.servicebus")


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
    except (TopologyError, StoreInUseError) as error:
        logger.error("%s", error)  # noqa: TRY400 (the fault is the user's: one line, no traceback)
        return 1
    broker = Broker(namespace, store)
    container = Container(broker)
    try:
        acceptor = container.listen(f"{arguments.host}:{arguments.port}")
    except OSError as error:
        logger.error("cannot listen on %s:%d: %s", arguments.host, arguments.port, error.strerror)  # noqa: TRY400 (as above)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: broker.stop())
    address = acceptor._selectable.getsockname()  # noqa: SLF001 (proton has no other way to tell the port it got)
    logger.info("listening on %s:%d", *address)
    container.run()
    store.close()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local.servicebus", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5672, help="0 takes a free one, which the log names")
    parser.add_argument("--config", type=Path, default=Path("infra/local/servicebus.json"))
    parser.add_argument("--data", required=True, help="directory for the messages, or :memory:")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return parser.parse_args()


def _file(data: str) -> Path | None:
    if data == ":memory:":
        return None
    directory = Path(data)
    directory.mkdir(parents=True, exist_ok=True)
    return directory / "servicebus.sqlite"


if __name__ == "__main__":
    sys.exit(main())
