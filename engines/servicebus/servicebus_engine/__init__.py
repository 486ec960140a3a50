"""A development Service Bus: queues, topics and sessions over AMQP 1.0, kept in one SQLite file."""
