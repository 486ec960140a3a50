"""Cosmos DB for a laptop: the REST protocol of the NoSQL API, as the unmodified azure-cosmos clients speak it.

A development engine. It keeps what the service guarantees about a document, a partition and a transactional batch, and
answers what it does not support with a clear error instead of a wrong result. `python -m cosmos_engine --help`.

- Requests are signed with the account's key, and come from no web page (`admission`).
- A container is one physical partition, so it has one feed range, and every read is consistent.
- Request charges are constants (`replies.CHARGES`): use them to compare shapes of access, not to plan capacity.
- An acknowledged write survives the death of the process. SQLite runs in WAL mode with `synchronous=NORMAL`: when the
  machine loses its power, the last writes may be missing, but the file is whole (https://sqlite.org/wal.html).

README.md beside this package lists its features, its refusals, and its differences from the service.
"""
