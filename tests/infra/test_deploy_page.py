"""docs/deploy.md and docs/unproven.md: what they say of the scripts is so, and the first is read in ten minutes."""

import json
import re
from pathlib import Path

import pytest

from infra.sql.access import COMMAND_SIDE
from tests.infra.snapshots import SNAPSHOTS
from tests.infra.tools import ROOT, check
from tests.support.pages import Section, sections

PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
UNPROVEN = (ROOT / "docs" / "unproven.md").read_text(encoding="utf-8")
BOOTSTRAP = (ROOT / "infra" / "bootstrap.sh").read_text(encoding="utf-8")
SECTIONS = {section.heading: section for section in sections(PAGE)}
AZD = (ROOT / "azure.yaml").read_text(encoding="utf-8")
HOOKS = (ROOT / "infra" / "azd.sh").read_text(encoding="utf-8")


def test_it_is_read_in_ten_minutes() -> None:
    assert len(PAGE.split()) < 2500  # 250 words a minute


def test_from_an_empty_subscription_to_an_order_it_is_at_most_ten_commands() -> None:
    (block,) = SECTIONS["From a laptop, in eight commands"].blocks("sh")[:1]
    commands = [line for line in block.splitlines() if line]
    assert len(commands) == 8
    assert commands[-1].startswith("python3 dev.py demo --url")


def test_what_bills_over_the_free_offer_comes_after_the_file_and_is_said_to_be_for_good() -> None:
    """Azure takes no way back, so a deployment that wanted `AutoPause` again would be refused from then on."""
    text = SECTIONS["From a laptop, in eight commands"].text
    command = text.index("--free-limit-exhaustion-behavior BillOverUsage")
    assert text.index("`freeOffer: 'BillOverUsage'`") < command
    assert "cannot be undone" in text[:command].rpartition("**The free offer**")[2]
    assert "takes it back" not in text
    assert "refused" in (ROOT / "infra" / "dev.bicepparam").read_text(encoding="utf-8")


def test_whoever_sets_prod_up_is_told_whom_it_has_subscriptions_for() -> None:
    """A subscription that nobody reads raises alarms from the fifteenth day on."""
    listens = {
        rule["name"].split("/")[2]
        for rule in SNAPSHOTS["prod"].of("ServiceBus/namespaces/topics/subscriptions/rules")
        if rule["properties"]["filterType"] == "CorrelationFilter"
    }
    text = SECTIONS["With pipelines"].text
    assert [name for name in listens if f"`{name}`" not in text] == []
    assert ("`param subscribers = []`" in text) == bool(listens)


@pytest.mark.parametrize("name", ["deploy.md", "unproven.md"])
def test_every_link_leads_somewhere(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", page):
        path, _, anchor = link.partition("#")
        if not path.startswith("https:"):
            there = ROOT / "docs" / (path or name)
            assert there.exists(), link
            assert not anchor or anchor in anchors(there), link


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^##+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {Section(heading, "").anchor for heading in headings}


def test_whatever_is_unproven_stands_beside_the_command_that_proves_it() -> None:
    table = UNPROVEN.partition("These commands prove the rest")[2]
    rows = [line.split(" | ", 1) for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 30
    for claim, proof in rows:
        assert re.search(r"`[^`]{8,}`|pull request", proof), claim


@pytest.mark.parametrize(
    "option",
    ["RECOVER_VAULT", "HUB_NETWORK_ID", "RUNNER_NAT_GATEWAY_ID", "diagnostics", "freeLimit", "siteUpdateStrategy"],
)
def test_an_option_that_no_environment_has_on_is_listed_as_unproven(option: str) -> None:
    assert option in UNPROVEN


def test_only_main_deploys_whether_or_not_a_branch_is_protected() -> None:
    """GitHub lets every branch in by `protected_branches` while none is protected, and takes no two rules at once."""
    [block] = [block for block in SECTIONS["With pipelines"].blocks("sh") if "environments/prod" in block]
    [wanted] = re.findall(r"-X PUT repos/OWNER/REPOSITORY/environments/prod --input - <<<(.*)", block)
    environment = json.loads(re.sub(r"""'"\$\(.*?\)"'""", "1", wanted).strip("'"))
    assert environment["deployment_branch_policy"] == {"protected_branches": False, "custom_branch_policies": True}
    assert environment["reviewers"], "each PUT says all: without them it takes those away that there are"
    named = re.findall(
        r"-X POST repos/OWNER/REPOSITORY/environments/prod/deployment-branch-policies -f name=(.*)", block
    )
    assert named == ["main"]
    assert "environments/prod/deployment-branch-policies --jq" in UNPROVEN
    assert "protected_branches" not in UNPROVEN


def test_what_bootstrap_makes_outside_of_the_group_is_removed_with_it() -> None:
    made = set(re.findall(r"az (ad group|ad app|role definition) create|value (ad group|ad app) create", BOOTSTRAP))
    kinds = {kind for pair in made for kind in pair if kind}
    assert kinds == {"ad group", "ad app", "role definition"}
    (removing,) = SECTIONS["Remove it"].blocks("sh")
    assert [kind for kind in kinds if f"az {kind} delete" not in removing] == []
    [role] = re.findall(r'preview="(Tandem .*)"', BOOTSTRAP)
    named = role.replace("$group", "rg-tandem-dev").replace(
        "$subscription", "$(az account show --query id --output tsv)"
    )
    assert f'role="{named}"\n' in removing
    [lock] = re.findall(r"az lock create (--name \S+)", BOOTSTRAP)
    assert removing.index(f"az lock delete {lock} ") < removing.index("az group delete"), "which a lock in it stops"


def test_a_secret_that_is_put_into_the_vault_is_read_anew_and_seen_to_be_before_the_app_restarts() -> None:
    """App Service keeps what it read for a day: a restart alone goes on with the key that was refused."""
    setting = {
        f"{page.name}#{section.anchor}": re.split(r"keyvault secret set|into the vault", section.text, maxsplit=1)[1:]
        for page in (ROOT / "docs").glob("*.md")
        for section in sections(page.read_text(encoding="utf-8"))
    }
    after = {where: text for where, rest in setting.items() for text in rest}
    assert set(after) == {"deploy.md#the-payment-provider", "operations.md#payment-provider"}
    steps = ("/config/configreferences/appsettings/refresh?", "properties.status", "az functionapp restart")
    for where, text in after.items():
        places = [text.find(step) for step in steps]
        assert -1 not in places, where
        assert places == sorted(places), where


def test_its_commands_are_sound_shell_at_least(tmp_path: Path) -> None:
    script = tmp_path / "page.sh"
    blocks = [block for section in SECTIONS.values() for block in section.blocks("sh")]
    assert len(blocks) > 4
    # placeholders are in capitals; what a reader pastes need not quote an id
    script.write_text(
        "#!/usr/bin/env bash\n# shellcheck disable=SC1090,SC1091,SC2164,SC2034,SC2086,SC2046,SC2153,SC2154\n"
        + "".join(blocks)
    )
    check("shellcheck", "--severity=info", script)


def test_it_names_every_stage_and_every_setting_that_the_parameter_files_read() -> None:
    script = (ROOT / "infra" / "deploy.sh").read_text(encoding="utf-8")
    (default,) = re.findall(r"stages=\((preview .*)\)", script)
    assert [stage for stage in default.split() if f"| `{stage}` |" not in PAGE] == []
    for file in (ROOT / "infra").glob("*.bicepparam"):
        for name in re.findall(r"readEnvironmentVariable\('(\w+)'", file.read_text(encoding="utf-8")):
            assert name == "BUDGET_START" or f"`{name}`" in PAGE, name


@pytest.mark.parametrize("asked", re.findall(r"infra/azd\.sh (\w+)", AZD))
def test_a_hook_of_azd_is_a_stage_that_the_script_knows(asked: str) -> None:
    assert re.search(rf"^  (.* \| )?{asked}( \| .*)?\)", HOOKS, re.MULTILINE)
    if asked != "package":
        deploy = (ROOT / "infra" / "deploy.sh").read_text(encoding="utf-8")
        assert re.search(rf"^{asked}\(\) \{{", deploy, re.MULTILINE)


def test_azd_deploys_by_the_same_parameters_and_zips_the_folder_that_the_package_is_written_to() -> None:
    path, module, project = (
        re.findall(rf"^ +{key}: ([\w./]+)", AZD, re.MULTILINE) for key in ("path", "module", "project")
    )
    assert (ROOT / path[0] / f"{module[0]}.bicepparam").exists()
    assert f"--unpacked {project[0]} " in HOOKS
    assert f"deploy.sh {module[0]} " in HOOKS


def test_what_can_be_changed_of_an_event_is_what_the_database_lets_be_changed() -> None:
    said = re.search(r"of an event only the\s(.*?)can be changed", SECTIONS["Who may do what"].text, re.DOTALL)
    assert said
    logs = {rights for table, rights in COMMAND_SIDE.items() if table.endswith(".event_log")}
    for rights in logs:
        granted = re.search(r"UPDATE \((.*)\)", rights)
        assert granted
        assert set(re.findall(r"`(\w+)`", said[1])) == set(granted[1].split(", "))
    assert logs
    assert not any("DELETE" in rights for rights in logs)


def test_every_path_that_is_open_without_a_token_is_of_a_kind_that_the_page_names() -> None:
    kinds = {
        "/admin/host/": "two of the host",
        "/api/health/": "health",
        "/api/openapi.json": "descriptions",
        "/api/asyncapi.json": "descriptions",
        "/api/payments/webhook": "webhook",
        "/api/docs": "docs",
        "/api/ops/console": "console",
    }
    configured = [each["properties"] for each in SNAPSHOTS["prod"].of("Web/sites/config")]
    [paths] = [each["globalValidation"]["excludedPaths"] for each in configured if "globalValidation" in each]
    assert {next(kind for kind in kinds if path.startswith(kind)) for path in paths} == set(kinds)
    assert [path for path in paths if path.startswith("/admin/")] == ["/admin/host/status", "/admin/host/synctriggers"]
    [said] = re.findall(r"refuses callers without a valid token, but on the paths of (.*?)\.", PAGE, re.DOTALL)
    assert [words for words in kinds.values() if words not in said] == []
