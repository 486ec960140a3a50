"""Countries are those of ISO 3166-1."""

import pycountry

from shared.kernel.countries import COUNTRIES


def test_the_countries_are_those_of_the_standard() -> None:
    assert {country.alpha_2 for country in pycountry.countries} == COUNTRIES
