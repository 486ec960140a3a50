"""The Cosmos DB engine's page says what it has."""

from cosmos_engine.query.functions import AGGREGATES, FUNCTIONS
from tests.support.tools import ROOT


def test_the_engines_page_names_every_function_of_its_queries() -> None:
    page = " ".join((ROOT / "engines" / "cosmos" / "README.md").read_text(encoding="utf-8").split())
    named = page.partition("the functions ")[2].partition(". Pages")[0].replace(" and ", ", ")
    assert set(named.split(", ")) == set(FUNCTIONS) - set(AGGREGATES)
