"""The few types that every context's domain speaks: money, refusals, aggregates."""
