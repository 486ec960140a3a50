"""A shop in one process under a scheduler that a seed drives: real handlers, outbox, relay, projections, and faults.

`python3 dev.py simulate --seeds 10000` runs many shops; `--seed N` replays one. Everything in shared is real but for
the clients of Azure's services. What stands in: the bus (bus.py), Cosmos DB (read_models.py, with the local engine's
rules), and SQLite for Azure SQL (database.py).
"""
