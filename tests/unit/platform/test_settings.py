"""Settings come from the environment, and what is missing is named at once."""

import re

import pytest

from shared.frame.platform.settings import MissingSettings, Settings

CONNECTIONS = {
    "SqlConnection": "sqlite:///tandem.db",
    "CosmosConnection": "AccountEndpoint=http://localhost:8081/;AccountKey=a2V5;",
    "ServiceBusConnection": "Endpoint=sb://localhost;",
}


def test_connection_strings_are_taken_as_they_are() -> None:
    assert Settings.from_environment(CONNECTIONS) == Settings(
        sql="sqlite:///tandem.db",
        cosmos="AccountEndpoint=http://localhost:8081/;AccountKey=a2V5;",
        service_bus="Endpoint=sb://localhost;",
        cosmos_database="orders-db",
        command_client_id=None,
        view_client_id=None,
    )


def test_identity_based_connections_are_taken_where_there_are_no_strings() -> None:
    settings = Settings.from_environment(
        {
            "SqlConnection": "mssql+pyodbc://server/db",
            "CosmosConnection__accountEndpoint": "https://tandem.documents.azure.com/",
            "ServiceBusConnection__fullyQualifiedNamespace": "tandem.servicebus.windows.net",
            "CosmosDatabase": "another-db",
            "AZURE_CLIENT_ID": "1234",
            "CosmosConnection__clientId": "5678",
        }
    )
    assert settings == Settings(
        sql="mssql+pyodbc://server/db",
        cosmos="https://tandem.documents.azure.com/",
        service_bus="tandem.servicebus.windows.net",
        cosmos_database="another-db",
        command_client_id="1234",
        view_client_id="5678",
    )


def test_one_identity_may_be_both_sides() -> None:
    settings = Settings.from_environment({**CONNECTIONS, "AZURE_CLIENT_ID": "1234"})
    assert (settings.command_client_id, settings.view_client_id) == ("1234", "1234")


@pytest.mark.parametrize(("value", "taken"), [("InstrumentationKey=1", "InstrumentationKey=1"), ("", None)])
def test_telemetry_goes_nowhere_unless_it_is_told_where(value: str, taken: str | None) -> None:
    settings = Settings.from_environment({**CONNECTIONS, "APPLICATIONINSIGHTS_CONNECTION_STRING": value})
    assert settings.application_insights == taken


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(MissingSettings, match=r"SqlConnection, CosmosConnection .*, ServiceBusConnection "):
        Settings.from_environment({"SqlConnection": ""})


@pytest.mark.parametrize("name", CONNECTIONS)
def test_only_what_is_missing_is_named(name: str) -> None:
    others = CONNECTIONS.keys() - {name}
    with pytest.raises(MissingSettings) as caught:
        Settings.from_environment({other: CONNECTIONS[other] for other in others})
    assert re.search(rf"\b{name}\b", str(caught.value))
    assert not any(re.search(rf"\b{other}\b", str(caught.value)) for other in others)


@pytest.mark.parametrize(
    "reference",
    [
        "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/name)",
        "@Microsoft.KeyVault(VaultName=kv;SecretName=name)",
        "@Microsoft.AppConfiguration(Endpoint=https://ac.azconfig.io; Key=name)",
    ],
)
def test_a_reference_that_azure_has_not_resolved_is_no_value(reference: str) -> None:
    given = {"CosmosDatabase": reference, "STRIPE_SECRET_KEY": reference, "STRIPE_API": "http://kept"}
    settings = Settings.from_environment(CONNECTIONS | given)
    assert settings.every == CONNECTIONS | {"STRIPE_API": "http://kept"}
    assert settings.cosmos_database == "orders-db"
    with pytest.raises(MissingSettings, match=r"missing: SqlConnection\."):
        Settings.from_environment(CONNECTIONS | {"SqlConnection": reference})


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "two", "100001"])
def test_a_number_of_a_context_that_is_out_of_bounds_is_refused_by_its_name(text: str) -> None:
    settings = Settings("", "", "", every={"StockDeadlineDays": text})
    with pytest.raises(MissingSettings, match=r"StockDeadlineDays should be a number above 0, at most 100,000\."):
        settings.number("StockDeadlineDays", 14)


@pytest.mark.parametrize("text", ["-1", "nan", "two", "100001"])
def test_a_number_of_a_context_may_be_zero_where_the_context_says_so(text: str) -> None:
    assert Settings("", "", "", every={"ErasureGraceHours": "0"}).number("ErasureGraceHours", 72, zero=True) == 0
    with pytest.raises(MissingSettings, match=r"ErasureGraceHours should be a number from 0, at most 100,000\."):
        Settings("", "", "", every={"ErasureGraceHours": text}).number("ErasureGraceHours", 72, zero=True)


def test_a_number_of_a_context_has_its_default_and_may_be_a_part_of_one() -> None:
    assert Settings("", "", "", every={"StockDeadlineDays": "0.5"}).number("StockDeadlineDays", 14) == 0.5
    assert Settings("", "", "").number("StockDeadlineDays", 14) == 14
