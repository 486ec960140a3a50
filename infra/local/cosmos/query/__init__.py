"""Cosmos SQL: parse a statement, then run it over parsed documents."""

from infra.local.cosmos.query.conditions import condition

__all__ = ["condition"]
