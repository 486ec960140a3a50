"""Cosmos SQL: parse a statement, then run it over parsed documents."""

from cosmos_engine.query.conditions import condition

__all__ = ["condition"]
