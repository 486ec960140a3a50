"""Commands: one unit of work, the event log, which is the outbox too, its relay, and the inbox."""
