"""The few types that all contexts' domains share: money, refusals, aggregates."""
