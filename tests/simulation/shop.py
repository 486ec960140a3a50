"""The shop: clients, relays, consumers and a reader, all of them mortal, on one database, bus and read model store."""

from collections.abc import Callable, Hashable
from concurrent.futures import Executor, Future
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast, override

import sqlalchemy as sa

from shared.frame.messaging.retries import with_retries
from shared.frame.messaging.wire import from_body
from shared.frame.sql.errors import OutOfTime
from shared.frame.write_side.aggregate_queues import AggregateQueues, Turn
from shared.frame.write_side.relay import Relay, TopicUnreachable
from shared.frame.write_side.unit_of_work import LostRace
from shared.ordering.fulfilment.decisions import Deadline
from shared.ordering.fulfilment.process_manager import ProcessManager
from shared.ordering.jobs.act_on_deadlines import Deadlines
from shared.payments.domain.provider import ProviderUnavailable
from tests.simulation.bus import FaultyTopic, Subscription, deliver
from tests.simulation.clients import Clients
from tests.simulation.database import FaultyEngine, empty_database, logs, unpublished
from tests.simulation.leaver import Leaver
from tests.simulation.operator import Operator
from tests.simulation.process import Process
from tests.simulation.provider import SETTINGS, FaultyProvider
from tests.simulation.read_models import FaultyReadModels
from tests.simulation.reader import Reader
from tests.simulation.scheduler import Crash, Scheduler
from tests.support.containers import OneGeneration
from tests.support.jobs import job
from tests.support.wiring import Wiring, contexts

REBUILT = 0.3
"""How many shops rebuild a view."""

HASTY = 4
"""Every how many shops staff are quicker with an order than its fulfilment, which asks for its payment."""

BEGUN = 0.7
"""In how many shops the first orders have come as far as they may when the others come."""

TIMER = 0.02
"""How often a relay looks for what was left behind, though no commit has woken it."""

TURNS = 400
"""How long the shop stays open for consumers when its clients have gone."""


PROCESS_MANAGER = ProcessManager(
    {
        Deadline.STOCK: timedelta(days=14),
        Deadline.PAYMENT: timedelta(hours=24),
        Deadline.CONFIRMATION: timedelta(days=14),
        Deadline.SETTLEMENT: timedelta(hours=24),
    }
)


class OneThread(Executor):
    """Runs at once what a pool would run beside."""

    @override
    def submit[**P, R](self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        future: Future[R] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class NoQueues(AggregateQueues):
    """Lets everybody in at once, as commands of different processes are."""

    @override
    def stand(self, key: Hashable, seconds: float | None) -> Turn:
        return Turn(self, key)

    @override
    def leave(self, key: Hashable, turn: Turn) -> None:
        pass


class Shop:
    """One simulated shop."""

    def __init__(self, seed: int, fault_rate: float) -> None:
        self.scheduler = scheduler = Scheduler(seed, fault_rate)
        self.committed = dict.fromkeys(logs(), False)
        self.turns_left = TURNS
        self.hasty = seed % HASTY == 0
        self.read_models = FaultyReadModels(scheduler)
        self.engines = {name: empty_database(name) for name in logs()}
        self.faulty = faulty = {
            name: cast("sa.Engine", FaultyEngine(self.engines[name], scheduler, log)) for name, log in logs().items()
        }
        self.provider = FaultyProvider(scheduler)
        wired = contexts(Wiring(faulty, partial(OneGeneration, containers={}), self._waker, NoQueues(), SETTINGS))
        self.writes = {name: context.writes for name, context in wired.items()}
        self.subscriptions = {
            name: Subscription(name)
            for context in wired.values()
            for consumer in context.consumers
            for name in [f"{consumer.topic}/{consumer.subscription}"]
        }
        self.topics = {
            name: FaultyTopic(name, self._heard(context.topic), scheduler) for name, context in wired.items()
        }
        self.relays: dict[str, Relay[Any]] = {
            name: Relay(faulty[name], log, self.topics[name], scheduler.clock, OneThread())
            for name, log in logs().items()
        }
        self.clients = Clients(scheduler, self.writes)
        [erase] = [each.handler for each in wired["customers"].commands if each.name == "post_customer_erase"]
        self.leaver = Leaver(scheduler, self.writes, erase, self.clients.products)
        self._serve_waiting = job(wired["catalog"], "waiting orders")
        self._erasing = [job(wired["customers"], "erase_customers"), job(wired["ordering"], "erase_orders")]
        self.reader = Reader(scheduler, self.clients, self.start, faulty["ordering"])
        self.operator = Operator(scheduler, self.start, self._is_up_to_date)

    def run(self) -> None:
        """Let everybody act, with faults, and then finish what is left without."""
        scheduler = self.scheduler
        self.clients.open()
        self.leaver.open()
        self.settle()
        self.clients.begin()
        if scheduler.random.random() < BEGUN:
            self.settle()
            self.clients.complete()
            self.settle()
            self.clients.refund()
        if self.hasty:
            self.clients.hurry(self._deliver_all_but_to_fulfilments)
        for number in range(scheduler.random.randint(1, 3)):
            scheduler.spawn(f"client {number}", partial(self.clients.live, f"client {number}"))
        scheduler.spawn("client who leaves", self.leaver.leave)
        if self.clients.undecided:
            scheduler.spawn("client who changes their mind", self.clients.change_their_mind)
        if self.clients.crowded:
            scheduler.spawn("client who delivers", self.clients.deliver)
            for number in range(2):
                scheduler.spawn(f"steward {number}", self._steward)
        for number in range(2):
            scheduler.spawn(f"eraser {number}", self._eraser)
        for name in self.relays:
            for number in range(2):
                scheduler.spawn(f"relay {name} {number}", partial(self._relay, name))
        for name in self.subscriptions:
            for number in range(2):
                scheduler.spawn(f"consumer {name} {number}", partial(self._consume, name))
        for number in range(2):
            scheduler.spawn(f"timer {number}", self._timer)
        scheduler.spawn("provider", self._tell)
        scheduler.spawn("reader", self.reader.live, turns=2)
        if scheduler.random.random() < REBUILT:
            scheduler.spawn("operator", self.operator.live, turns=6)
        scheduler.run(over=self._quiet, last="client")
        self.provider.outlast()
        self.settle()
        for _ in range(2):  # the second tick ends what the first has erased
            for erase in self._erasing:
                erase()
                self.settle()

    def settle(self) -> None:
        """Publish and deliver everything, without faults; then an operator replays the dead letters, in any order.

        One whose predecessor is a dead letter too may need that to be replayed first: so again, as long as it helps.
        """
        self._publish_and_deliver()
        for subscription in self.subscriptions.values():
            helps = True
            while subscription.dead and helps:
                dead, subscription.dead = subscription.dead, []
                for message in self.scheduler.random.sample(dead, len(dead)):
                    message.deliveries = 0
                    subscription.messages.append(message)
                    self._publish_and_deliver()
                helps = len(subscription.dead) < len(dead)

    def _publish_and_deliver(self) -> None:
        """Do both until nothing is left: what is delivered may leave events, and so may the payment provider."""
        self.scheduler.now += timedelta(hours=1)  # every claim has run out
        process = self.start()
        while sum(map(Relay.run, self.relays.values())):
            self.scheduler.now += timedelta(minutes=1)
            self._deliver_all(process)
        self._deliver_all(process)
        while self.provider.end_refunds() or self.provider.tell(process.hear):
            pass
        self.scheduler.work(process.look_after_payments())
        self._serve_waiting()
        if self.provider.end_refunds() or self._unpublished():
            self._publish_and_deliver()

    def start(self) -> Process:
        """Start a process."""
        return Process(self.scheduler, self.read_models, self.faulty)

    def _deliver_all(self, process: Process, but: str = "") -> None:
        for name in self.subscriptions:
            while name != but and self._deliver(name, process):
                pass

    def _deliver_all_but_to_fulfilments(self) -> None:
        """Publish and deliver what the others need; what fulfilments follow stays on its way."""
        process = self.start()
        while sum(map(Relay.run, self.relays.values())):
            self._deliver_all(process, but="order-events/fulfilment")

    def _deliver(self, name: str, process: Process) -> bool:
        def handle(body: bytes) -> None:
            envelope = from_body(body)
            self.scheduler.work(with_retries(lambda: process.consumers[name](envelope)))

        return deliver(self.subscriptions[name], handle, self.scheduler)

    def _waker(self, context: str) -> Callable[[], None]:
        def wake() -> None:
            self.committed[context] = True

        return wake

    def _heard(self, topic: str) -> list[Subscription]:
        return [each for name, each in self.subscriptions.items() if name.startswith(f"{topic}/")]

    def _quiet(self) -> bool:
        """Whether there is nothing left to do but for what waits out a dead relay's claim."""
        self.turns_left -= not self.operator.busy
        return self.turns_left < 0 or not (self._behind() or self.operator.busy)

    def _behind(self) -> bool:
        """Whether an event is on its way."""
        waiting = any(each.messages for each in self.subscriptions.values())
        return waiting or any(self.committed.values())

    def _is_up_to_date(self) -> bool:
        """Whether every event that was ever committed has been delivered."""
        if self._behind() or any(subscription.dead for subscription in self.subscriptions.values()):
            return False
        return not self._unpublished()

    def _unpublished(self) -> bool:
        return any(unpublished(self.engines[name], log) for name, log in logs().items())

    def _relay(self, name: str) -> None:
        while not self.scheduler.closing:
            self.scheduler.pause()
            if not self.committed[name] and self.scheduler.random.random() >= TIMER:
                continue
            self.committed[name] = False
            try:
                self.relays[name].run()
            except (Crash, TopicUnreachable, sa.exc.DBAPIError, LostRace, OutOfTime):
                self.committed[name] = True  # the timer comes again

    def _timer(self) -> None:
        """Look after payments, and for deadlines that have passed, by a clock that jumps."""
        process = self.start()
        while not self.scheduler.closing:
            self.scheduler.pause()
            if self.scheduler.random.random() >= TIMER:
                continue
            days = self.scheduler.random.choice((0, 2, 20))
            try:
                self.scheduler.work(process.look_after_payments())
                self.deadlines(self.scheduler.now + timedelta(days=days)).act()
            except Crash:
                process = self.start()
            except (sa.exc.DBAPIError, OutOfTime):
                continue  # it comes again

    def _tell(self) -> None:
        """Do what the payment provider does by itself."""
        process = self.start()
        while not self.scheduler.closing:
            self.scheduler.pause()
            try:
                self.provider.go_on()
                self.provider.tell(process.hear)
            except Crash:
                process = self.start()
            except (ProviderUnavailable, sa.exc.DBAPIError, LostRace, OutOfTime):
                continue  # it tells that again

    def _eraser(self) -> None:
        """Go on with erasures, now and then."""
        while not self.scheduler.closing:
            self.scheduler.pause()
            if self.scheduler.random.random() < TIMER:
                try:
                    self.scheduler.random.choice(self._erasing)()
                except (Crash, sa.exc.DBAPIError, LostRace, OutOfTime):
                    continue  # the timer comes again

    def _steward(self) -> None:
        """Serve waiting orders, more often than the other timers do their work: crowds wait for them."""
        while not self.scheduler.closing:
            self.scheduler.pause()
            if self.scheduler.random.random() < 5 * TIMER:
                try:
                    self._serve_waiting()
                except (Crash, sa.exc.DBAPIError, OutOfTime):
                    continue  # it comes again

    def deadlines(self, now: datetime) -> Deadlines:
        """What a timer does at this time."""
        return Deadlines(self.writes["ordering"], self.faulty["ordering"], PROCESS_MANAGER, lambda: now)

    def _consume(self, name: str) -> None:
        process = self.start()
        while not self.scheduler.closing:
            self.scheduler.pause()
            try:
                self._deliver(name, process)
            except Crash:
                process = self.start()
