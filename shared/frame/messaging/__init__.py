"""Events on their way: envelopes, their form on the wire, topics, subscriptions and dead letters."""
