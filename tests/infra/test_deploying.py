"""infra/deploy.sh against a stand-in for az that behaves as az does when things go wrong; everything else is real."""

import json
import zipfile

import pytest

from tests.infra.azure import RULES, USERS, Azure, committed, this_month

AFTER_ACCEPTANCE = [
    "ERROR: Failed to fetch host key to check for function app status",
    "ERROR: Failed to retrieve deployment status. Please try again in a few minutes.",
    "ERROR: Timeout reached by the command, however, the deployment operation\n   is still on-going. Navigate to ...",
    "ERROR: Deployment was partially successful. These are the deployment logs:\n[]",
    "ERROR: Deployment was successful but the app appears to be unhealthy. Please check the app logs.",
]


def test_it_previews_deploys_migrates_grants_publishes_and_keeps_what_works_in_this_order(azure: Azure) -> None:
    ran = azure.deploy("dev")
    assert ran.returncode == 0, ran.stderr
    assert azure.commands() == [
        "deployment group what-if",
        "deployment group create",
        "functionapp deployment source config-zip",
        "storage blob upload",
    ]
    stages = [line.partition(": ")[2].split(" ")[0] for line in ran.stdout.splitlines() if line.startswith("---")]
    assert stages == [
        "what",
        "infrastructure",
        "it",
        "migrations",
        "access",
        "it",
        "package",
        "what",
        "deploying",
        "smoke",
        "done:",
    ]
    asked = [*["/api/health/live"] * 3, "/admin/host/status", "/api/health/ready", "/api/openapi.json"]
    assert azure.paths == asked
    assert azure.runs() == committed()
    assert (azure.state / "last-good.zip").read_bytes() == (azure.state / "deployed.zip").read_bytes()


def test_every_call_names_its_group_template_and_identity_and_no_secret(azure: Azure) -> None:
    azure.deploy("dev")
    calls = {" ".join(call[:4]): call for call in azure.calls()}
    create = next(call for call in azure.calls() if call[:3] == ["deployment", "group", "create"])
    assert create[3:] == [
        *("--name", "tandem", "--resource-group", "rg-tandem-dev"),
        *("--parameters", "infra/dev.bicepparam", "--output", "none"),
    ]
    publish = calls["functionapp deployment source config-zip"]
    assert publish[4:8] == ["--resource-group", "rg-tandem-dev", "--name", "func-tandem"]
    assert publish[-4:] == ["--build-remote", "true", "--output", "none"]
    upload = calls["storage blob upload --account-name"]
    assert upload[3:] == [
        *("--account-name", "sttandem", "--container-name", "releases", "--name", "last-good.zip"),
        *("--auth-mode", "login", "--file", upload[upload.index("--file") + 1], "--overwrite", "--output", "none"),
    ]
    assert not any("key" in word or "connection" in word for call in azure.calls() for word in call)


def test_migrations_and_rights_are_done_as_whoever_signed_in_with_az(azure: Azure) -> None:
    azure.deploy("dev", "database")
    to = f"to sqlite:///{azure.state}/tandem.db as AzureCliCredential"
    assert (azure.state / "python.log").read_text().splitlines() == [
        f"-m infra.sql.migrate {to}",
        f"-m infra.sql.access --commands {USERS['commandUser']} --queries {USERS['viewUser']} {to}",
    ]
    assert (azure.state / "tandem.ordering.db").exists()


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all.db", "sqlite:///{state}/tandem.db"])
def test_the_firewall_is_open_for_a_laptop_only_while_it_migrates(azure: Azure, url: str) -> None:
    outputs = json.loads((azure.state / "outputs.json").read_text())
    (azure.state / "outputs.json").write_text(json.dumps({**outputs, "sqlUrl": url.format(state=azure.state)}))
    azure.deploy("dev", "database", CLIENT_ADDRESS="198.51.100.7")
    assert azure.commands() == ["sql server firewall-rule create", "sql server firewall-rule delete"]
    opened = next(call for call in azure.calls() if "create" in call)
    assert [opened[opened.index(f"--{end}-ip-address") + 1] for end in ("start", "end")] == ["198.51.100.7"] * 2


def test_what_it_publishes_is_the_package(azure: Azure) -> None:
    azure.deploy("dev", "application")
    with zipfile.ZipFile(azure.state / "deployed.zip") as package:
        assert {"function_app.py", "host.json", "requirements.txt"} < set(package.namelist())


@pytest.mark.parametrize("stage", ["application", "rules"])
def test_a_release_that_takes_what_a_deployed_rule_keeps_away_is_not_published(azure: Azure, stage: str) -> None:
    outputs = json.loads((azure.state / "outputs.json").read_text())
    narrow = RULES.replace("'StockNotKeptV1'", "'StockNotKeptV1', 'ProductRenamedV1'")
    (azure.state / "outputs.json").write_text(json.dumps({**outputs, "subscriptionRules": narrow}))
    ran = azure.deploy("dev", stage)
    assert ran.returncode == 1
    assert "keeps away what this release takes: ProductRenamedV1 from product-events/product-views." in ran.stderr
    assert azure.commands() == []


def test_a_release_that_ignores_more_than_a_deployed_rule_keeps_away_is_published(azure: Azure) -> None:
    outputs = json.loads((azure.state / "outputs.json").read_text())
    wide = "; ".join(f"{each.partition('=')[0]}=1=1" for each in RULES.split("; "))
    (azure.state / "outputs.json").write_text(json.dumps({**outputs, "subscriptionRules": wide}))
    assert azure.deploy("dev", "rules").returncode == 0


def test_the_smoke_test_waits_until_the_new_release_answers(azure: Azure) -> None:
    azure.old_answers = 1
    assert azure.deploy("dev", "application").returncode == 0
    assert azure.paths.count("/api/health/ready") == 2


@pytest.mark.parametrize(("environment", "seconds"), [("dev", 300), ("prod", 900)])
def test_an_update_instance_by_instance_has_longer_until_the_new_release_answers(
    azure: Azure, environment: str, seconds: int
) -> None:
    ran = azure.deploy(environment, "application", SMOKE_SECONDS="")
    assert ran.returncode == 0, ran.stderr
    assert f"for {seconds} s at most" in ran.stdout


def test_a_release_that_never_answers_has_failed_though_the_one_before_is_well(azure: Azure) -> None:
    azure.old_answers = 1
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0")
    assert ran.returncode == 1
    assert f"another release than {committed()} answers" in ran.stderr


def test_a_function_that_the_platform_does_not_know_fails_the_smoke_test(azure: Azure) -> None:
    (azure.state / "functions").write_text("get_order")
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0")
    assert ran.returncode == 1
    assert "the platform does not know these functions: project_order relay_order_events" in ran.stderr
    synced = [call for call in azure.calls() if call[0] == "rest"]
    assert [word for call in synced for word in call if "syncfunctiontriggers" in word]


# --- what az does on the first day, and the right end of each


def test_az_calls_the_app_unhealthy_because_authentication_is_on_and_the_smoke_test_decides(azure: Azure) -> None:
    ran = azure.deploy("dev", "application")
    assert "the app appears to be unhealthy" in ran.stderr
    assert ran.returncode == 0
    assert azure.commands() == ["functionapp deployment source config-zip", "storage blob upload"]


@pytest.mark.parametrize("said", AFTER_ACCEPTANCE)
def test_what_az_says_after_azure_has_taken_a_package_does_not_decide_either(azure: Azure, said: str) -> None:
    azure.tell(after=said)
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 0, ran.stderr
    assert azure.runs() == committed()
    azure.healthy = False
    kept = azure.last_good()
    assert azure.deploy("dev", "application", SMOKE_SECONDS="0").returncode == 1
    assert azure.runs() == "good"
    assert (azure.state / "last-good.zip").read_bytes() == kept


def test_the_smoke_test_goes_by_the_clock_however_long_an_answer_takes(azure: Azure) -> None:
    azure.healthy = False
    azure.answers_after = 1.5
    azure.deploy("dev", "application", SMOKE_SECONDS="8")
    assert 1 < azure.paths.count("/api/health/ready") <= 6  # eight seconds of answers that take a second and a half


@pytest.mark.parametrize(
    ("refused", "done"),
    [
        ("deployment group what-if", []),
        ("deployment group create", ["deployment group what-if"]),
        ("deployment group list", ["deployment group what-if", "deployment group create"]),
    ],
)
def test_it_stops_at_the_first_stage_that_fails(azure: Azure, refused: str, done: list[str]) -> None:
    azure.tell(refused={refused: "ERROR: no"})
    assert azure.deploy("dev").returncode == 1
    assert [command for command in azure.commands() if command != refused] == done
    assert not (azure.state / "python.log").exists()


def test_nothing_happens_where_az_is_signed_in_to_another_subscription(azure: Azure) -> None:
    ran = azure.deploy("dev", AZURE_SUBSCRIPTION_ID="another")
    assert ran.returncode == 1
    assert "az account set --subscription another" in ran.stderr
    assert azure.commands() == []
    assert [call[:2] for call in azure.calls()] == [["account", "show"]]
    assert azure.deploy("dev", "preview", AZURE_SUBSCRIPTION_ID="mine").returncode == 0


def test_nothing_is_published_when_the_migrations_fail(azure: Azure) -> None:
    outputs = json.loads((azure.state / "outputs.json").read_text())
    (azure.state / "outputs.json").write_text(json.dumps({**outputs, "sqlUrl": "sqlite:////nowhere/at/all.db"}))
    assert azure.deploy("dev", "database", "application").returncode == 1
    assert azure.commands() == []


def test_a_new_environment_gets_a_resource_group_but_not_from_a_preview(azure: Azure) -> None:
    (azure.state / "group").unlink()
    ran = azure.deploy("prod", "preview")
    assert "Everything: there is no resource group rg-tandem-prod yet." in ran.stdout
    assert azure.commands() == []
    azure.deploy("prod", "infrastructure")
    assert azure.commands() == ["group create", "deployment group create"]


def test_running_it_again_does_no_harm(azure: Azure) -> None:
    first = azure.deploy("dev")
    azure.tell(minutes=0, tokens=[])  # signed in again
    second = azure.deploy("dev")
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert azure.commands()[4:] == azure.commands()[:4]


def test_azd_gets_the_budgets_month_and_a_smoke_test_of_what_it_deployed(azure: Azure) -> None:
    (azure.state / "budget").write_text("2026-02-01")
    assert azure.deploy("dev", "budget").stdout == "2026-02-01\n"
    (azure.state / "group").unlink()
    before = this_month()
    assert azure.deploy("prod", "budget").stdout.rstrip() in {before, this_month()}
    assert azure.deploy("dev", "application").returncode == 0
    assert azure.deploy("dev", "check").returncode == 0
    azure.healthy = False
    assert azure.deploy("dev", "check").returncode == 1


@pytest.mark.parametrize("arguments", [[], ["staging"], ["dev", "everything"]])
def test_what_it_does_not_know_is_refused_before_anything_happens(azure: Azure, arguments: list[str]) -> None:
    ran = azure.deploy(*arguments)
    assert ran.returncode == 2
    assert ran.stderr
    assert azure.calls() == []
