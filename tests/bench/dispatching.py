"""Dispatch, measured: events from the engine into one instance of the laptop's host.

`python -m tests.bench.dispatching` measures what is deployed, in some three minutes; with `--all` it compares ways to
group events into sessions, or to have none (ADR 21). Two kinds of work: a function that waits as long as a store takes,
and the projection of orders with the laptop's stores, whose requests are counted. Rates and lags are the machine's;
counts are not.
"""

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import batched
from pathlib import Path
from statistics import median
from typing import NamedTuple
from uuid import UUID, uuid4

import psutil
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSender

from shared.frame.messaging.envelope import Envelope, Metadata
from shared.frame.messaging.wire import to_body
from shared.frame.platform.settings import Settings
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.write_side.relay import Relay
from shared.ordering.commands.confirm_order import ConfirmOrder, confirm_order
from shared.ordering.commands.submit_order import SubmitOrder, submit_order
from shared.ordering.tables import LOG
from shared.ordering.views.customer_summary import new_summary
from tests.bench.dispatch_model import GROUPINGS, STORE, Grouping
from tests.bench.engines import empty_database, engines
from tests.support.host import HostProcess, started_host
from tests.support.servicebus import Engine, running_engine
from tests.support.shop import Shop, running_shop
from tests.support.topic import KeptTopic

APP = Path(__file__).parent / "dispatch_app"
BATCH = 20
"""Messages that are sent at once."""
DEPLOYED = GROUPINGS[-1]
"""No sessions, 64 calls, as host.json has it."""


class Done(NamedTuple):
    """An event that was taken: when it was sent and done, and what had been asked of the stores until then."""

    sent: float
    done: float
    sql: int
    cosmos: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    taken: Sequence[Done]
    operations: Mapping[str, int]
    processor: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds of a processor for an event, by process, where they were taken."""

    @property
    def rate(self) -> float:
        """Events a second, between the first and the last hundredth."""
        times = sorted(each.done for each in self.taken)
        edge = max(1, len(times) // 100)
        return (len(times) - 2 * edge) / (times[-edge] - times[edge - 1])

    def lag(self, part: float) -> float:
        """A quantile of the seconds from sending to done."""
        lags = sorted(each.done - each.sent for each in self.taken)
        return lags[min(len(lags) - 1, int(part * len(lags)))]


class Bench:
    """Engines, and events to dispatch."""

    def __init__(self, bus: Engine, cosmos: str, shop: Shop, folder: Path) -> None:
        self._bus, self._cosmos, self._shop, self._folder = bus, cosmos, shop, folder
        self._customers = [shop.customer() for _ in range(20)]
        self._product = shop.product()

    def orders(self, count: int) -> list[list[Envelope]]:
        """Make orders that live from creation to confirmation: three events each."""
        topic = KeptTopic()
        whose = [self._customers[number % len(self._customers)] for number in range(count)]
        ids = [self._shop.order(self._product, customer_id=customer_id) for customer_id in whose]
        for handler, command in ((submit_order, SubmitOrder), (confirm_order, ConfirmOrder)):
            for order_id in ids:
                self._shop.ordering.run(handler, command(order_id=order_id), Metadata())  # type: ignore[arg-type]
        Relay(self._shop.ordering_engine, LOG, topic).run()
        lives: dict[UUID, list[Envelope]] = {order_id: [] for order_id in ids}
        for envelope in topic.sent:
            if envelope.aggregate_id in lives:
                lives[envelope.aggregate_id].append(envelope)
        return list(lives.values())

    @contextmanager
    def host(self, grouping: Grouping, seconds: float) -> Iterator["Run"]:
        """Run a host with this grouping, and a function that waits so many seconds (0: that projects)."""
        name = uuid4().hex
        app, record, operations = (self._folder / f"{what}-{name}" for what in ("app", "record", "operations"))
        app.mkdir()
        (app / "function_app.py").write_text((APP / "function_app.py").read_text())
        options = {
            "maxConcurrentSessions": grouping.slots,
            "maxConcurrentCalls": grouping.slots,
            "sessionIdleTimeout": f"00:00:{grouping.idle:05.2f}",
            "maxAutoLockRenewalDuration": "00:10:00",
        }
        (app / "host.json").write_text(json.dumps({"version": "2.0", "extensions": {"serviceBus": options}}))
        topic = "free" if grouping.sessions == 0 else "sessions"
        database = empty_database(self._cosmos)
        self._summaries(database)
        record.touch()
        environ = {
            "BUS": self._bus.connection_string,
            "TOPIC": topic,
            "SQL": self._shop.url,
            "COSMOS": self._cosmos,
            "DATABASE": database,
            "SECONDS": str(seconds),
            "RECORD": str(record),
            "OPERATIONS": str(operations),
        }
        with (
            ServiceBusClient.from_connection_string(self._bus.connection_string) as client,
            client.get_topic_sender(topic) as sender,
        ):
            yield Run(app, environ, sender, grouping, record, operations, self._bus)

    def _summaries(self, database: str) -> None:
        async def create() -> None:
            models = CosmosDatabase(Settings(sql="", cosmos=self._cosmos, service_bus="", cosmos_database=database))
            for customer_id in self._customers:
                await models.container("orders").create_item(new_summary(customer_id, "Ada", 1))
            await models.close()

        asyncio.run(create())


@dataclass
class Run:
    """A host that may be started, and its topic."""

    app: Path
    environ: Mapping[str, str]
    sender: ServiceBusSender
    grouping: Grouping
    record: Path
    operations: Path
    bus: Engine

    def send(self, envelopes: Sequence[Envelope]) -> None:
        """Send events at once."""
        sent = time.time()
        self.sender.send_messages(
            [
                ServiceBusMessage(
                    to_body(envelope, "bench"),
                    message_id=str(uuid4()),
                    session_id=self.grouping.session_of(envelope.aggregate_id),
                    application_properties={"sent": sent},
                )
                for envelope in envelopes
            ]
        )

    @contextmanager
    def running(self) -> Iterator[HostProcess]:
        """Let the host run."""
        with started_host(self.app, self.environ, module="tests.bench.counting_host") as host:
            host.wait_for_log("receiving|connected to Service Bus")
            yield host
            host.stop()

    def wait(self, count: int, limit: float = 300.0) -> None:
        """Wait until so many events are done."""
        deadline = time.monotonic() + limit
        while self.done() < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.done()} of {count}")
            time.sleep(0.05)

    def done(self) -> int:
        """How many events are done."""
        return len(self.record.read_bytes().splitlines())

    def processor(self, host: HostProcess) -> dict[str, float]:
        """Milliseconds of a processor that each process has taken, which load of others hardly changes."""
        parent = psutil.Process(host.process.pid)
        (worker,) = parent.children()
        processes = {"host": parent, "worker": worker, "engine": psutil.Process(self.bus.process.pid)}
        return {name: 1000 * sum(process.cpu_times()[:2]) for name, process in processes.items()}

    def outcome(self) -> Outcome:
        """Tell what came of it, once the host has ended."""
        lines = [line.split() for line in self.record.read_text().splitlines()]
        taken = [Done(float(sent), float(done), int(sql), int(cosmos)) for sent, done, sql, cosmos in lines]
        return Outcome(taken, json.loads(self.operations.read_text()))


def saturated(bench: Bench, grouping: Grouping, events: Sequence[Envelope], seconds: float) -> Outcome:
    """Let a host take what has piled up."""
    with bench.host(grouping, seconds) as run:
        for some in batched(events, BATCH, strict=False):
            run.send(some)
        with run.running() as host:
            run.wait(len(events) // 10)  # what a start takes is not counted
            done, before = run.done(), run.processor(host)
            run.wait(len(events))
            after = run.processor(host)
        outcome = run.outcome()
        each = {name: (after[name] - before[name]) / (len(events) - done) for name in after}
        return replace(outcome, processor=each | {"all": sum(each.values())})


def steady(
    bench: Bench, grouping: Grouping, events: Sequence[Envelope], seconds: float, rate: float, together: int = 1
) -> Outcome:
    """Send so many events a second, so many of them at once, while a host runs."""
    with bench.host(grouping, seconds) as run:
        with run.running():
            due = time.perf_counter()
            for some in batched(events, together, strict=False):
                run.send(some)
                due += len(some) / rate
                time.sleep(max(0, due - time.perf_counter()))
            run.wait(len(events))
        return run.outcome()


CONFIG = {
    "UserConfig": {
        "Namespaces": [
            {
                "Name": "sbemulatorns",
                "Queues": [],
                "Topics": [
                    {
                        "Name": name,
                        "Properties": {},
                        "Subscriptions": [
                            {
                                "Name": "views",
                                "Properties": {
                                    "RequiresSession": name == "sessions",
                                    "LockDuration": "PT1M",
                                    "MaxDeliveryCount": 10,
                                },
                                "Rules": [],
                            }
                        ],
                    }
                    for name in ("sessions", "free")
                ],
            }
        ],
        "Logging": {"Type": "Console"},
    }
}


@contextmanager
def open_bench() -> Iterator[Bench]:
    """Start the engines."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tandem-dispatch-")))
        cosmos, _ = stack.enter_context(engines())
        bus = stack.enter_context(running_engine(CONFIG))
        yield Bench(bus, cosmos, stack.enter_context(running_shop(folder)), folder)


GOAL_RATE, GOAL_SPREAD = 1000, 10
"""Events a second through one instance, and how many times its p50 the p99 of the lag may be at half of that rate."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.dispatching", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often all take turns (default: %(default)s)")
    parser.add_argument("--orders", type=int, default=500, help="of three events each (default: %(default)s)")
    parser.add_argument("--all", action="store_true", help="all groupings, a third of an hour; else what is deployed")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    halves: list[Outcome] = []
    rates: list[float] = []
    with open_bench() as bench:
        lives = bench.orders(options.orders)
        apart = [event for same in zip(*lives, strict=True) for event in same]
        together = [event for life in lives for event in life]
        for _ in range(options.rounds):
            for grouping in GROUPINGS if options.all else [DEPLOYED]:
                full = saturated(bench, grouping, apart, STORE)
                _print("waits, as much as it takes", grouping, full)
                for share in (0.1, 0.5, 0.9):
                    rate = full.rate * share
                    some = apart[: max(60, int(rate * 6))]
                    outcome = steady(bench, grouping, some, STORE, rate)
                    _print(f"waits, {share:.0%} of that", grouping, outcome)
                    if grouping == DEPLOYED and share == 0.5:
                        rates.append(full.rate)
                        halves.append(outcome)
                _print("projects, as much as it takes", grouping, saturated(bench, grouping, apart[:600], 0))
                if options.all:
                    spread = steady(bench, grouping, apart[:300], 0, 25)
                    _print("projects, 25/s, an order's events apart", grouping, spread)
                    at_once = steady(bench, grouping, together[:300], 0, 25, together=3)
                    _print("projects, 25/s, an order's events at once", grouping, at_once)
    _judge(median(rates), median(each.lag(0.99) / each.lag(0.5) for each in halves))
    return 0


def _judge(rate: float, spread: float) -> None:
    """Say how the medians of what is deployed stand to the goals."""
    for what, figure, met in (
        (f"events/s (goal: at least {GOAL_RATE:,})", rate, rate >= GOAL_RATE),
        (f"p99 over p50 of the lag, at half of that rate (goal: at most {GOAL_SPREAD})", spread, spread <= GOAL_SPREAD),
    ):
        print(f"{what}: {figure:,.1f}, {'met' if met else 'not met'}", flush=True)  # noqa: T201


def _print(what: str, grouping: Grouping, outcome: Outcome) -> None:
    events = len(outcome.taken)
    row = {
        "what": what,
        "grouping": grouping.name,
        "events/s": outcome.rate,
        "p50": outcome.lag(0.5),
        "p99": outcome.lag(0.99),
        "SQL/event": outcome.taken[-1].sql / events,
        "Cosmos/event": outcome.taken[-1].cosmos / events,
        **{f"{name}/event": count / events for name, count in outcome.operations.items()},
        **{f"ms of {name}/event": round(ms, 2) for name, ms in outcome.processor.items()},
    }
    print(json.dumps(row), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
