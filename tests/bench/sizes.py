"""How much is measured: `FULL` for figures to keep, `QUICK` for a look, `SMOKE` to see that everything runs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of one run.

    Attributes:
        rounds: how often both sides take turns.
        repeats: pieces of work of one side in a round.
        requests: of all clients together, for one figure under latency, and for the saturation.
        clients: who ask at the same time, under latency and against the CRUD service.
        delays: seconds of injected latency for one round trip, under latency.
        peer_delays: the same against the CRUD service.
        peer_rounds: rounds against the CRUD service.
        peer_requests: of all clients together in one of them; the more, the less the tail weighs in which only the
            last read models are waited for.
        writes: shares of writes in percent, against the CRUD service.
        lives: orders that live from creation to completion in a round, against the event-sourcing library.
        lines: of the orders that an item is added to.
        lists: orders of the customers whose lists are read.
        published: rows behind the relay.
        events: that a read model is rebuilt from.
        lag_seconds: for which orders come in at each share of the saturation rate.
        reserving_rounds: rounds in which stock is reserved.
        reserved: orders in one of them.
        imports: how often the app is imported.
    """

    rounds: int
    repeats: int
    requests: int
    clients: tuple[int, ...]
    delays: tuple[float, ...]
    peer_delays: tuple[float, ...]
    peer_rounds: int
    peer_requests: int
    writes: tuple[int, ...]
    lives: int
    lines: tuple[int, ...]
    lists: tuple[int, ...]
    published: int
    events: tuple[int, ...]
    lag_seconds: float
    reserving_rounds: int
    reserved: int
    imports: int


FULL = Sizes(
    rounds=9,
    repeats=40,
    requests=640,
    clients=(1, 16, 64),
    delays=(0.002, 0.005, 0.02),
    peer_delays=(0.005, 0.02),
    peer_rounds=5,
    peer_requests=1_920,
    writes=(50, 10, 1),
    lives=40,
    lines=(1, 10, 100, 1_000),
    lists=(10, 1_000, 100_000),
    published=100_000,
    events=(1_000, 10_000, 100_000),
    lag_seconds=20.0,
    reserving_rounds=5,
    reserved=400,
    imports=9,
)
QUICK = Sizes(
    rounds=5,
    repeats=15,
    requests=192,
    clients=(1, 16, 64),
    delays=(0.005, 0.02),
    peer_delays=(0.02,),
    peer_rounds=3,
    peer_requests=384,
    writes=(50, 10, 1),
    lives=10,
    lines=(1, 10, 100),
    lists=(10, 100, 1_000),
    published=10_000,
    events=(200, 1_000, 5_000),
    lag_seconds=5.0,
    reserving_rounds=2,
    reserved=100,
    imports=3,
)
SMOKE = Sizes(
    rounds=1,
    repeats=2,
    requests=8,
    clients=(1, 4),
    delays=(0.002,),
    peer_delays=(0.002,),
    peer_rounds=1,
    peer_requests=8,
    writes=(50,),
    lives=1,
    lines=(1, 5),
    lists=(2, 4),
    published=20,
    events=(10, 20),
    lag_seconds=0.5,
    reserving_rounds=1,
    reserved=8,
    imports=1,
)
