"""A shop in one process under a scheduler that a seed drives: real commands, outbox, relay, projections and queries.

`python3 dev.py simulate --seeds 10000` runs many shops; `--seed N` replays one. Everything in shared is real but for
the clients of Azure's services. What stands in: the bus (bus.py), Cosmos DB (read_models.py, with the local engine's
rules), the payment provider (provider.py, likewise), and SQLite for Azure SQL (database.py). Who acts: clients, relays,
consumers, a reader, a customer who has themselves erased (leaver.py), and in some shops an operator who rebuilds a
view. What must be true is in reader.py while the shop is open, and in truth.py once all is quiet.
"""

FAULTS = {
    # Azure SQL: transactions of commands, relays and consumers that follow
    "deadlock": "1205 at the end of a transaction, which is undone",
    "failover": "40613, likewise",
    "lost connection before commit": "10054, likewise; whoever meets it cannot know that",
    "lost connection after commit": "10054 after a commit that counts: looks the same from outside",
    "lost race": "another transaction changed the aggregate first",
    "late commit": "an aggregate's first event gets an earlier place in the log than events that were seen before it",
    "crash before commit": "the process dies with its transaction open",
    "crash after commit": "the process dies before anybody learns of the commit",
    "failover while reading": "40613 where the log is read: filling gaps, finding orders to rename, answering retries",
    "crash while reading": "the process dies there",
    # Service Bus
    "send fails": "unreachable before an event, between two of one batch too",
    "send fails after arriving": "unreachable, though the event has arrived",
    "crash before send": "the relay dies before an event, between two of one batch too",
    "crash after send": "the relay dies after an event arrived",
    "duplicate": "a message comes twice to a subscription",
    "lock runs out": "a message that is being handled, or waited with, is given to another consumer too",
    "dead-lettered": "a message is set aside; an operator replays it at the end, in any order",
    "crash before completing": "the consumer dies when it has applied an event; so it comes again",
    # Cosmos DB: each request of projections and queries
    "throttled": "429",
    "unavailable": "503",
    "time-out": "408 before the work",
    "time-out after the work": "408, though the work was done",
    "412": "a condition did not hold: a duplicate, a lost race, an event that came too early; nobody injects it",
    "crash before Cosmos": "the process dies before a request",
    "crash after Cosmos": "the process dies before it reads the answer",
    # the payment provider: each request of payments
    "provider unreachable": "no connection",
    "provider busy": "429",
    "provider down": "503",
    "provider fails": "500 before anything is done, which its idempotency key keeps",
    "provider too late": "no answer in time, and it is done afterwards",
    "provider's answer lost": "the connection ends, though it was done",
    "crash before provider": "the process dies before a request",
    "crash after provider": "the process dies before it reads the answer; so what was done is not recorded",
    "webhook twice": "it tells again what was heard; all that it tells comes in any order, and late",
    "hold lapsed": "the bank lets a held amount go before it is captured, and the shop hears of it late",
    "taken by hand": "somebody captures a held amount, or a part of it, in the provider's dashboard",
    "another card": "a cardholder's browser tries another card after a decline, with the same client secret",
    "refund pending": "a refund is carried out only later, or fails",
    "keys forgotten": "a day passes before what is left is done",
    # operators: no faults, but hard times for readers
    "rebuild": "a view is rebuilt while it serves, and readers are switched to it; whoever works on that may die",
    "roll-back": "readers are switched back again",
    # everywhere
    "clock jump": "a process's clock is wrong by five minutes: of a command, a claim of the relay, a projection",
}
"""Every kind of fault, and where it strikes.

Events of different aggregates overtake one another all the time, as do two relays of each context, the consumers of
each subscription and the clients: each request of any of them may be followed by one of any other. Consumers are
patient as in Azure, so they meet several faults within one delivery.
"""
