"""infra/bootstrap.sh against a stand-in for az that refuses what cannot be made twice."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.infra.snapshots import OPTIONS, SNAPSHOTS
from tests.infra.tools import ROOT

STAND_IN = Path(__file__).with_name("entra_stand_in.py")
READ = ("bootstrap.sh", "dev.bicepparam", "prod.bicepparam", "app-roles.json", "modules/roles.bicep")
ARGUMENTS = ("dev", "you@example.com", "owner/repository")
BY_NAME = {"use_default": True}
"""What GitHub says of how tokens name a repository that is older than its immutable subjects."""
DEPLOYS = "principal-of-deploy Role Based Access Control Administrator"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Copy what the script reads, so that it writes its settings there."""
    for name in READ:
        (tmp_path / "infra" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "infra" / name, tmp_path / "infra" / name)
    (tmp_path / "bin").mkdir()
    command(tmp_path, "az", f'exec "{sys.executable}" -I -S "{STAND_IN}" "$@"')
    github(tmp_path, BY_NAME)
    return tmp_path


def command(root: Path, name: str, script: str) -> None:
    (root / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
    (root / "bin" / name).chmod(0o755)


def github(root: Path, repository: dict[str, Any]) -> None:
    """Stand in for the gh that asks how tokens name owner/repository: GitHub's answer, and its 404 for any other."""
    (root / "repository.json").write_text(json.dumps(repository))
    asked = '[ "$*" = "api repos/owner/repository/actions/oidc/customization/sub" ]'
    missing = "echo 'gh: Not Found (HTTP 404)' >&2; exit 1"
    command(root, "gh", f'{asked} || {{ {missing}; }}\ncat "{root}/repository.json"')


def bootstrap(root: Path, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{root}/bin:{os.environ['PATH']}", "AZ_STAND_IN": str(root), "HOME": str(root), **given}
    return subprocess.run(
        [root / "infra" / "bootstrap.sh", *arguments], env=environment, capture_output=True, text=True, check=False
    )


def entra(root: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((root / "entra.json").read_text())
    return state


def settings(root: Path, environment: str = "dev") -> dict[str, str]:
    return dict(line.split("=", 1) for line in (root / ".local" / f"{environment}.env").read_text().splitlines())


def test_it_may_be_run_again(root: Path) -> None:
    first = bootstrap(root, *ARGUMENTS)
    assert first.returncode == 0, first.stderr
    before = entra(root), settings(root)
    second = bootstrap(root, *ARGUMENTS)
    assert second.returncode == 0, second.stderr
    assert (entra(root), settings(root)) == before


NOT_KNOWN_YET = {
    "ad group member add": "Resource 'x' does not exist or one of its queried reference-property objects are not ...",
    "role assignment create": "Role 'Tandem preview rg-tandem-dev account-id' doesn't exist.",
    "ad sp update": "(Request_ResourceNotFound) Resource 'x' does not exist.",
}


def refused(root: Path, times: int, *commands: str) -> subprocess.CompletedProcess[str]:
    """Run it where each of these commands is refused so often."""
    refusals = {name: [times, NOT_KNOWN_YET[name]] for name in commands}
    (root / "entra.json").write_text(json.dumps({"refused": refusals}))
    return bootstrap(root, *ARGUMENTS, UNHEARD_PAUSE="0")


def test_what_was_just_made_and_is_not_known_everywhere_yet_is_waited_for(root: Path) -> None:
    ran = refused(root, 2, *NOT_KNOWN_YET)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("once more in 0 s") == 2 * len(NOT_KNOWN_YET)
    assert entra(root)["members"] == ["me", "principal-of-migrate"]


def test_what_does_not_get_known_is_not_waited_for_without_an_end(root: Path) -> None:
    ran = refused(root, 99, "ad group member add")
    assert ran.returncode == 1
    assert NOT_KNOWN_YET["ad group member add"] in ran.stderr
    assert ran.stderr.count("once more in 0 s") == 11


def test_a_person_at_a_laptop_administers_the_database_and_gets_no_identities(root: Path) -> None:
    assert bootstrap(root, *ARGUMENTS[:2]).returncode == 0
    assert entra(root)["members"] == ["me"]
    assert "assignments" not in entra(root)
    assert settings(root) == {
        "SQL_ADMINISTRATORS_NAME": "tandem-dev-sql",
        "SQL_ADMINISTRATORS_ID": "group-id",
        "API_CLIENT_ID": "api-id",
        "ALERT_EMAIL": "you@example.com",
        "AZURE_LOCATION": "westeurope",
        "AZURE_RESOURCE_GROUP": "rg-tandem-dev",
        "AZURE_SUBSCRIPTION_ID": "account-id",
        "AZURE_TENANT_ID": "account-id",
    }


def test_a_pipeline_migrates_as_an_administrator_of_the_database_and_deploys_as_another(root: Path) -> None:
    bootstrap(root, *ARGUMENTS)
    assert entra(root)["members"] == ["me", "principal-of-migrate"]
    assert set(entra(root)["assignments"]) == {
        "principal-of-deploy Contributor",
        DEPLOYS,
        "principal-of-migrate Reader",
        "principal-of-preview Reader",
        "principal-of-preview Tandem preview rg-tandem-dev account-id",
    }
    assert settings(root)["DEPLOYER_OBJECT_ID"] == "principal-of-deploy"


def test_people_on_call_administer_the_database_and_stay_when_it_is_run_again_without_them(root: Path) -> None:
    """The runbook has them change what is due after a restore: who is no administrator cannot."""
    first, second = "0a000000-0000-0000-0000-00000000000B", "0a000000-0000-0000-0000-00000000000c"
    ran = bootstrap(root, "prod", *ARGUMENTS[1:], ON_CALL=f" {first}  {second}")
    assert ran.returncode == 0, ran.stderr
    assert entra(root)["members"] == ["me", first, second, "principal-of-migrate"]
    for on_call in (first, ""):
        assert bootstrap(root, "prod", *ARGUMENTS[1:], ON_CALL=on_call).returncode == 0
        assert entra(root)["members"] == ["me", first, second, "principal-of-migrate"]


def test_people_on_call_see_the_group_with_its_logs_and_call_the_api_as_operators(root: Path) -> None:
    """Else the runbook's first block finds nothing: a login without a role knows no subscription."""
    person = "0a000000-0000-0000-0000-00000000000b"
    [ops] = [role["id"] for role in json.loads((ROOT / "infra/app-roles.json").read_text()) if role["value"] == "Ops"]
    for _ in range(2):
        ran = bootstrap(root, "prod", *ARGUMENTS[1:2], ON_CALL=person)
        assert ran.returncode == 0, ran.stderr
        assert list(entra(root)["assignments"]) == [f"{person} Reader"], "who may change something is a choice"
        assert [role for role in entra(root)["roles"] if role.startswith(person)] == [f"{person} {ops}"]
        assert f"me {ops}" not in entra(root)["roles"]
    assert bootstrap(root, "prod", *ARGUMENTS[1:2], ON_CALL=person, ON_CALL_ROLE="Contributor").returncode == 0
    assert f"{person} Contributor" in entra(root)["assignments"]


def test_nobody_on_call_becomes_an_owner(root: Path) -> None:
    ran = bootstrap(root, *ARGUMENTS, ON_CALL="0a000000-0000-0000-0000-00000000000b", ON_CALL_ROLE="Owner")
    assert ran.returncode == 2
    assert "ON_CALL_ROLE: Owner is neither Reader nor Contributor" in ran.stderr
    assert not (root / "calls.jsonl").exists()


def test_somebody_on_call_who_is_no_object_id_is_refused_before_anything_happens(root: Path) -> None:
    ran = bootstrap(root, *ARGUMENTS, ON_CALL="ada@example.com")
    assert ran.returncode == 2
    assert "ON_CALL: ada@example.com is no object id" in ran.stderr
    assert not (root / "calls.jsonl").exists()


def test_nobody_deletes_prods_database_server_by_mistake_and_of_dev_somebody_may(root: Path) -> None:
    """With the server go all orders, and their backups: a Contributor may delete it, but not a lock."""
    first = bootstrap(root, "prod", *ARGUMENTS[1:])
    assert "there is no database server yet: run this once more" in first.stdout
    assert "locks" not in entra(root)
    (root / "entra.json").write_text(json.dumps(entra(root) | {"server": "sql-tandem-prod-abc"}))
    for _ in range(2):
        assert bootstrap(root, "prod", *ARGUMENTS[1:]).returncode == 0
        assert entra(root)["locks"] == {"Microsoft.Sql/servers/sql-tandem-prod-abc": "CanNotDelete"}
    (root / "entra.json").write_text(json.dumps({"server": "sql-tandem-dev-abc"}))
    assert bootstrap(root, *ARGUMENTS).returncode == 0
    assert "locks" not in entra(root)


def test_no_foreign_client_calls_as_somebody_who_let_it_and_az_does_without_being_let(root: Path) -> None:
    """Who consents for themselves gives a client of any tenant all of their roles, an operator's too."""
    bootstrap(root, *ARGUMENTS)
    assert entra(root)["consented by"] == "Admin"
    assert entra(root)["without consent"] == ["04b07795-8ddb-461a-bbee-02f9e1bf7b46"]


def test_a_repository_is_trusted_by_the_identities_of_its_own_environment(root: Path) -> None:
    bootstrap(root, *ARGUMENTS)
    assert entra(root)["trusted"] == {
        "id-tandem-dev-deploy": "repo:owner/repository:environment:dev",
        "id-tandem-dev-migrate": "repo:owner/repository:environment:dev",
        "id-tandem-dev-preview": "repo:owner/repository:environment:dev-preview",
    }


def test_a_repository_is_trusted_by_the_name_that_github_gives_it_in_its_tokens(root: Path) -> None:
    """By names alone no pipeline of a repository from after July 2026 could sign in."""
    numbered = "repo:owner@24213737/repository@1323153730"
    # GitHub was seen to say false beside a prefix that its tokens did begin with
    github(root, {"use_default": True, "use_immutable_subject": False, "sub_claim_prefix": numbered})
    ran = bootstrap(root, *ARGUMENTS)
    assert ran.returncode == 0, ran.stderr
    assert entra(root)["trusted"] == {
        "id-tandem-dev-deploy": f"{numbered}:environment:dev",
        "id-tandem-dev-migrate": f"{numbered}:environment:dev",
        "id-tandem-dev-preview": f"{numbered}:environment:dev-preview",
    }


def test_after_a_rename_it_trusts_the_new_name_and_no_more_the_old_one(root: Path) -> None:
    bootstrap(root, *ARGUMENTS)
    github(root, {"use_default": True, "sub_claim_prefix": "repo:owner@1/renamed@2"})
    assert bootstrap(root, *ARGUMENTS).returncode == 0
    assert set(entra(root)["trusted"].values()) == {
        "repo:owner@1/renamed@2:environment:dev",
        "repo:owner@1/renamed@2:environment:dev-preview",
    }


def test_a_name_that_github_does_not_tell_is_not_guessed(root: Path) -> None:
    ran = bootstrap(root, *ARGUMENTS[:2], "owner/another")
    assert ran.returncode == 1
    assert (
        "GitHub does not tell how its tokens name owner/another: install gh, and sign in with gh auth login"
        in ran.stderr
    )
    assert not (root / "entra.json").exists() or entra(root) == {}


def test_where_azure_pipelines_deploy_nobody_on_github_is_trusted(root: Path) -> None:
    assert bootstrap(root, *ARGUMENTS[:2], "azure-pipelines").returncode == 0
    assert "trusted" not in entra(root)
    assert {"DEPLOY_CLIENT_ID", "MIGRATE_CLIENT_ID", "PREVIEW_CLIENT_ID"} < set(settings(root))


def test_nobody_previews_prod_for_any_branch_could_do_so(root: Path) -> None:
    bootstrap(root, "prod", *ARGUMENTS[1:])
    assert set(entra(root)["trusted"].values()) == {"repo:owner/repository:environment:prod"}
    assert "preview" not in str(entra(root))
    assert "PREVIEW_CLIENT_ID" not in settings(root, "prod")


def test_a_group_of_another_name_and_region_is_remembered_and_keeps_its_tags(root: Path) -> None:
    bootstrap(root, *ARGUMENTS, AZURE_RESOURCE_GROUP="rg-mine", AZURE_LOCATION="northeurope")
    assert bootstrap(root, *ARGUMENTS).returncode == 0
    assert (settings(root)["AZURE_RESOURCE_GROUP"], settings(root)["AZURE_LOCATION"]) == ("rg-mine", "northeurope")
    calls = [json.loads(line) for line in (root / "calls.jsonl").read_text().splitlines()]
    made = [call for call in calls if call[:2] == ["group", "create"]]
    assert [call[3] for call in made] == ["rg-mine"], "once: making it again takes away what it was tagged with"


def test_a_second_group_of_the_tenant_gets_a_role_of_its_own(root: Path) -> None:
    """After the loss of a region, say: a tenant takes no two custom roles of one name."""
    for group in ("rg-one", "rg-two"):
        ran = bootstrap(root, *ARGUMENTS, AZURE_RESOURCE_GROUP=group)
        assert ran.returncode == 0, ran.stderr
        assert f"principal-of-preview Tandem preview {group} account-id" in entra(root)["assignments"]
    assert settings(root)["AZURE_RESOURCE_GROUP"] == "rg-two"


def test_what_others_have_written_into_its_file_stays(root: Path) -> None:
    """The next deployment by hand would else take the network back, and what was raised in an emergency."""
    bootstrap(root, "prod", *ARGUMENTS[1:])
    file = root / ".local" / "prod.env"
    file.write_text(file.read_text() + "RUNNER_NAT_GATEWAY_ID=/subscriptions/one=two\nSQL_SKU=HS_Gen5_4\n")
    before = settings(root, "prod")
    ran = bootstrap(root, "prod", "others@example.com")  # without pipelines, whose identities are there
    assert ran.returncode == 0, ran.stderr
    assert settings(root, "prod") == before | {"ALERT_EMAIL": "others@example.com"}
    assert [each.name for each in file.parent.iterdir()] == ["prod.env"]


def test_an_environment_is_not_made_again_in_another_subscription(root: Path) -> None:
    (root / ".local").mkdir()
    (root / ".local" / "dev.env").write_text("AZURE_SUBSCRIPTION_ID=another\n")
    ran = bootstrap(root, *ARGUMENTS)
    assert ran.returncode == 1
    assert "another" in ran.stderr
    assert not (root / "entra.json").exists() or entra(root) == {}


def test_the_pipelines_hand_on_what_it_writes_down(root: Path) -> None:
    bootstrap(root, *ARGUMENTS)
    workflow = (ROOT / ".github" / "workflows" / "deploy-to.yml").read_text(encoding="utf-8")
    previewing = (ROOT / ".github" / "workflows" / "deploy.yml").read_text(encoding="utf-8")
    assert [name for name in settings(root) if f"vars.{name} " not in workflow + previewing] == []


def test_who_previews_cannot_write_what_a_deployment_put_out(root: Path) -> None:
    """Else a pull request could say where the next migration signs in."""
    bootstrap(root, *ARGUMENTS)
    calls = [json.loads(line) for line in (root / "calls.jsonl").read_text().splitlines()]
    made = next(call for call in calls if call[:3] == ["role", "definition", "create"])
    actions = json.loads(made[made.index("--role-definition") + 1])["Actions"]
    assert actions
    assert all(re.fullmatch(r"Microsoft\.Resources/deployments/(whatIf|validate)/action", action) for action in actions)


def test_who_deploys_may_assign_what_the_templates_name_and_nothing_else(root: Path) -> None:
    bootstrap(root, *ARGUMENTS)
    roles = (ROOT / "infra" / "modules" / "roles.bicep").read_text(encoding="utf-8")
    ids = set(re.findall(r"'([0-9a-f-]{36})'", roles[roles.index("var roles") : roles.index("var cosmosRoles")]))
    assert len(ids) > 5
    condition = entra(root)["assignments"][DEPLOYS]["condition"]
    writing, deleting = re.findall(r"GuidEquals \{(.*?)\}", condition)
    assert set(writing.split(",")) == set(deleting.split(",")) == {name.strip() for name in ids}
    assert condition.count("(") == condition.count(")")
    # which are those that it does assign, in every environment and with every option
    given = {
        role["properties"]["roleDefinitionId"].rpartition("/")[2]
        for snapshot in (*SNAPSHOTS.values(), OPTIONS)
        for role in snapshot.of("Authorization/roleAssignments")
    }
    assert given == ids


def test_the_condition_follows_the_templates_where_the_role_was_given_before(root: Path) -> None:
    state = {"assignments": {DEPLOYS: {"id": DEPLOYS, "condition": None}}}
    (root / "entra.json").write_text(json.dumps(state))
    assert bootstrap(root, *ARGUMENTS).returncode == 0
    assert "GuidEquals" in entra(root)["assignments"][DEPLOYS]["condition"]


@pytest.mark.parametrize(
    "arguments", [[], ["dev"], ["staging", "a@b.c"], ["dev", "nobody"], ["dev", "a@b.c", "tandem"]]
)
def test_what_it_does_not_know_is_refused_before_anything_happens(root: Path, arguments: list[str]) -> None:
    ran = bootstrap(root, *arguments)
    assert ran.returncode == 2
    assert "ENVIRONMENT" in ran.stderr
    assert not (root / "calls.jsonl").exists()
