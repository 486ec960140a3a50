"""What a deployment has put out, and who finds it when: the stages of deploy.sh, azd and the runbook."""

import json
import subprocess
from typing import Any

import pytest

from tests.infra.azure import EVERYTHING, RULES, Azure, committed


@pytest.mark.parametrize("stage", ["database", "application"])
def test_outputs_that_a_failed_deployment_left_out_are_said_and_not_used(azure: Azure, stage: str) -> None:
    outputs = azure.state / "outputs.json"
    outputs.write_text(json.dumps(dict.fromkeys(json.loads(outputs.read_text()))))
    ran = azure.deploy("dev", stage)
    assert ran.returncode == 1
    assert "Run the stage infrastructure again" in ran.stderr
    assert azure.commands() == []
    assert not (azure.state / "python.log").exists()


def test_azd_names_its_deployments_itself_and_puts_their_outputs_into_the_environment(azure: Azure) -> None:
    (azure.state / "outputs.json").write_text("{}")
    outputs = json.loads((azure.state / "all-outputs.json").read_text())
    ran = azure.deploy("dev", "database", "application", "check", **outputs)
    assert ran.returncode == 0, ran.stderr


def by_azd(outputs: dict[str, str], day: str) -> dict[str, Any]:
    """Describe a deployment as azd makes it."""
    tags = {"azd-env-name": "dev", "azd-layer-name": ""}
    return {"name": "dev-1764490000", "tags": tags, "timestamp": f"{day}T08:06:40.123456+00:00", "outputs": outputs}


def test_what_azd_has_deployed_is_found_by_the_stages_and_by_the_runbook(azure: Azure) -> None:
    outputs = json.loads((azure.state / "outputs.json").read_text())
    for name in ("outputs.json", "lasting.json"):
        (azure.state / name).unlink()  # nobody but azd has deployed here
    module = {
        "name": "app",
        "tags": None,
        "timestamp": "2099-01-01T00:00:00+00:00",
        "outputs": {"apiUrl": "of a module"},
    }
    azure.tell(deployments=[by_azd(outputs, "2026-11-30"), module])
    ran = azure.deploy("dev", "database", "application")
    assert ran.returncode == 0, ran.stderr
    assert azure.runs() == committed()
    assert azure.runbook_finds() == ["func-tandem", "https://func-tandem.example.com/api", EVERYTHING]


def test_the_runbook_finds_the_app_and_its_rules_though_the_last_deployment_failed(azure: Azure) -> None:
    """Who was woken up by a deployment that failed has nothing else to go by, and it left no outputs."""
    assert azure.deploy("dev", "infrastructure", "application").returncode == 0
    azure.tell(refused={"deployment group create": "ERROR: (Conflict) something else"}, minutes=0)
    assert azure.deploy("dev", "infrastructure").returncode == 1
    assert azure.runbook_finds() == ["func-tandem", "https://func-tandem.example.com/api", EVERYTHING]
    assert azure.deploy("dev", "check").returncode == 0


def test_the_runbook_knows_an_environment_that_the_templates_of_before_made(azure: Azure) -> None:
    """They had no module whose outputs stay."""
    assert azure.deploy("dev", "infrastructure", "application").returncode == 0
    (azure.state / "lasting.json").unlink()
    assert azure.runbook_finds() == ["func-tandem", "https://func-tandem.example.com/api", EVERYTHING]
    assert azure.deploy("dev", "check").returncode == 0


def test_the_runbook_says_so_where_nothing_is_known_in_place_of_doing_nothing(azure: Azure) -> None:
    (azure.state / "lasting.json").unlink()
    (azure.state / "outputs.json").unlink()
    with pytest.raises(subprocess.CalledProcessError) as nothing:
        azure.runbook_finds()
    assert nothing.value.stderr.endswith("NOT DONE: no deployment in rg-tandem-prod has put out subscriptionRules\n")
    assert "no deployment of the infrastructure has put out functionApp" in azure.deploy("dev", "check").stderr


def test_the_newest_deployment_counts_whoever_made_it(azure: Azure) -> None:
    """Rules of an older one would let a release through that Service Bus keeps events from."""
    outputs = json.loads((azure.state / "outputs.json").read_text())
    narrow = RULES.replace("'StockNotKeptV1'", "'StockNotKeptV1', 'ProductRenamedV1'")
    azure.tell(deployments=[by_azd({**outputs, "subscriptionRules": narrow}, "2020-01-01")])
    assert azure.deploy("dev", "rules").returncode == 0
    azure.tell(deployments=[by_azd({**outputs, "subscriptionRules": narrow}, "2099-01-01")])
    assert azure.deploy("dev", "rules").returncode == 1
    azure.tell(deployments=[by_azd({}, "2099-01-01")])  # it failed
    assert "Run the stage infrastructure again" in azure.deploy("dev", "rules").stderr
