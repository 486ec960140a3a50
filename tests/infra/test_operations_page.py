"""docs/operations.md has a section for each alarm and for no other, and alarms lead there."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from shared.frame.messaging.codec import UnknownEventType
from shared.frame.messaging.topics import EventTooLarge
from tests.infra.snapshots import PROD as PROD_SNAPSHOT
from tests.infra.snapshots import SNAPSHOTS
from tests.infra.tools import ROOT, check
from tests.support.app import app_globals
from tests.support.pages import sections
from tests.support.runbook import STATEMENTS

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SECTIONS = {section.heading: section for section in sections(PAGE)}
DEV, PROD = (
    {name: rule["properties"]["description"] for name, rule in snapshot.alarms().items()}
    for snapshot in SNAPSHOTS.values()
)
ALARMS = PROD
ASKED_BY = {
    "Storage/storageAccounts": r"az storage |deploy\.sh \S+ (.*\b)?application",
    "KeyVault/vaults": r"az keyvault (secret|key) ",
    "Sql/servers": r"sqlcmd|infra\.sql\.|deploy\.sh \S+ (.*\b)?database",
}
"""The stores that commands ask for what is in them."""
SQL_ADMINISTRATORS = "`tandem-prod-sql`"
"""The group that bootstrap.sh makes."""
INSIDE = {"The database was restored"}
"""What says that all of it is done inside of the network, where the functions of How to ask the database are."""


def test_both_environments_have_the_same_alarms_but_for_the_one_that_would_keep_a_database_awake() -> None:
    assert {**DEV, "not-reachable": PROD["not-reachable"]} == PROD
    assert "not-reachable" not in DEV
    assert len(PROD) == 15


def test_prod_is_looked_at_from_outside_for_an_app_that_is_gone_tells_nothing() -> None:
    probe, alarm = PROD_SNAPSHOT.one("Insights/webtests"), PROD_SNAPSHOT.alarms()["not-reachable"]["properties"]
    asks, places = probe["properties"]["Request"]["RequestUrl"], probe["properties"]["Locations"]
    assert asks.startswith("[format('{0}/health/ready', format('https://{0}/api', ")
    assert len({place["Id"] for place in places} - {"emea-nl-ams-azr"}) == 5, "that is West Europe, prod's own region"
    kept = PROD_SNAPSHOT.one("Insights/components")["id"]
    assert alarm["criteria"] == {
        "odata.type": "Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria",
        "webTestId": probe["id"],
        "componentId": kept,
        "failedLocationCount": 3,
    }
    assert alarm["scopes"] == [probe["id"], kept]
    assert probe["tags"][f"hidden-link:{kept}"] == "Resource"
    assert alarm["actions"] == [{"actionGroupId": PROD_SNAPSHOT.one("Insights/actionGroups")["id"]}]


def test_every_alarm_has_a_section_of_its_name_and_no_section_is_of_an_alarm_that_is_not_there() -> None:
    named_like_one = {heading for heading in SECTIONS if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", heading)}
    assert named_like_one == set(ALARMS)


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarms_mail_leads_to_its_section(alarm: str) -> None:
    assert ALARMS[alarm].endswith(f" docs/operations.md#{SECTIONS[alarm].anchor}")


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarms_section_says_what_whom_how_and_until_when(alarm: str) -> None:
    bold = re.findall(r"\*\*(Means|Users notice|Look|Mend|Over)\*\*", SECTIONS[alarm].text)
    assert bold == ["Means", "Users notice", "Look", "Mend", "Over"]


def test_who_is_on_call_is_told_which_roles_the_commands_need_and_how_to_see_that_they_have_them() -> None:
    call = SECTIONS["How to call"]
    for role in ("*Reader*", "*Contributor*", "`Ops`", SQL_ADMINISTRATORS):
        assert role in call.text, role
    assert "ON_CALL_ROLE" in call.text
    [block] = call.blocks("azurecli")
    assert "az role assignment list --assignee" in block


def test_every_link_leads_somewhere() -> None:
    anchors = {section.anchor for section in SECTIONS.values()}
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert len(links) > 10
    for link in links:
        path, _, anchor = link.partition("#")
        assert (ROOT / "docs" / path).exists(), link
        assert path or anchor in anchors, link


def test_what_needs_azure_is_sound_shell_at_least(tmp_path: Path) -> None:
    script = tmp_path / "azure.sh"
    blocks = [block for section in SECTIONS.values() for block in section.blocks("azurecli")]
    assert len(blocks) > 8
    # one script, since later blocks use what earlier ones set; what nothing uses is for the operator to use
    script.write_text("#!/usr/bin/env bash\n# shellcheck disable=SC2034\n" + "".join(blocks), encoding="utf-8")
    check("shellcheck", "--severity=info", script)


def test_what_needs_azure_uses_nothing_that_a_block_before_has_not_set(tmp_path: Path) -> None:
    """With a stand-in that takes any command of az: a name that is not set ends the script."""
    for name in ("az", "curl", "deploy.sh", "gh", "git", "python"):
        stand_in = tmp_path / name
        stand_in.write_text("#!/usr/bin/env bash\necho something\n", encoding="utf-8")
        stand_in.chmod(0o755)
    for heading, section in SECTIONS.items():
        first = SECTIONS["How to call"].blocks("azurecli") if heading != "How to call" else []
        if heading in INSIDE:
            first += SECTIONS["How to ask the database"].blocks("azurecli")
        script = "set -euo pipefail\n" + "".join([*first, *section.blocks("azurecli")])
        script = script.replace("infra/deploy.sh", "deploy.sh").replace(".venv/bin/python", "python")
        ran = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, heading + ran.stderr


def test_who_deploys_the_infrastructure_by_hand_is_told_first_to_fetch_what_the_pipeline_knows() -> None:
    """Else the deployment takes the runner's network back, and what was raised in an emergency."""
    deploying = {heading for heading, section in SECTIONS.items() if re.search(r"infrastructure\b", section.text)}
    assert deploying == {"Deploying again"}
    by_hand = SECTIONS["Deploying again"].blocks("azurecli")[-1].splitlines()
    assert by_hand[0].endswith(">.local/prod.env")
    assert by_hand[1:] == ["infra/deploy.sh prod preview", "infra/deploy.sh prod infrastructure"]


def test_what_waits_for_an_approval_is_cancelled_and_what_is_too_old_to_be_run_again_has_another_way() -> None:
    """GitHub takes a re-run for 30 days; an approval that comes late is refused by deploy.sh."""
    again, back = SECTIONS["Deploying again"], SECTIONS["A release is bad"]
    assert "gh run cancel RUN" in "".join(again.blocks("azurecli"))
    refusal = "is no part of this checkout"
    assert refusal in again.text
    assert refusal in (ROOT / "infra" / "deploy.sh").read_text(encoding="utf-8")
    assert all("30 days" in section.text for section in (again, back))


def test_what_the_runbook_wants_of_the_templates_is_in_a_deployment_that_a_failed_one_leaves_alone() -> None:
    template = (ROOT / "infra" / "main.bicep").read_text(encoding="utf-8")
    [lasting] = re.findall(r"^module lasting .*?^}$", template, re.MULTILINE | re.DOTALL)
    wanted = set(re.findall(r"(?<!-)\boutput ([a-z]\w+)", "".join(PAGE.split("```")[1::2])))
    assert {"sqlUrl", "subscriptionRules"} <= wanted
    assert wanted <= set(re.findall(r"^ +(\w+): ", lasting, re.MULTILINE))
    [asked] = re.findall(r"starts_with\(name, '(.*)-'\)", PAGE)  # a module's deployment has its name and a hash
    assert lasting.startswith(f"module {asked} ")


def test_nothing_asks_a_store_that_only_the_network_reaches() -> None:
    closed = {store: PROD_SNAPSHOT.one(store)["properties"]["publicNetworkAccess"] for store in ASKED_BY}
    assert set(closed.values()) == {"Disabled"}
    inside = SECTIONS["How to ask the database"]
    assert "outside of its network" in inside.text
    for section in SECTIONS.values():
        if section.heading in INSIDE:
            assert f"[inside of the network](#{inside.anchor})" in section.text
        for block in section.blocks("azurecli") if section.heading not in {inside.heading, *INSIDE} else []:
            for commands in ASKED_BY.values():
                assert not re.search(commands, block), section.heading


def test_it_knows_every_read_model_and_no_other() -> None:
    named = SECTIONS["A read model is wrong or lost"].text.partition("What follows says")[0]
    declared = {name for context in app_globals()["contexts"] for name in context.read_models}
    assert set(re.findall(r"`(\w+)`", named)) == declared


def test_what_runs_anywhere_leaves_the_tokens_that_whoever_calls_has() -> None:
    """A laptop's token that a block leaves in a shell which calls Azure is a 401 for each call after it."""
    laptop, functions, _ = SECTIONS["How to call"].blocks("sh")
    [azure] = SECTIONS["How to call"].blocks("azurecli")
    names = set(re.findall(r"^(\w+)=", laptop, re.MULTILINE))
    assert names == {"api", "token", "keeper"}
    assert names <= set(re.findall(r"(?:^| )(\w+)=", azure, re.MULTILINE)), "each has a twin in Azure"
    others = [block for section in SECTIONS.values() for block in section.blocks("sh") if block != laptop]
    assert functions in others
    for block in others:
        assert not names & set(re.findall(r"\b(\w+)=", block)), block
        assert "dev.py token" not in block


def test_little_may_be_changed_by_hand_and_of_an_event_only_whether_it_is_published() -> None:
    changed = {
        heading: re.findall(r"\b(?:DELETE FROM|UPDATE|INSERT INTO) (\w+\.\w+)(?: SET (\w+) = )?", section.text)
        for heading, section in SECTIONS.items()
    }
    logs = [f"{context.name}.event_log" for context in app_globals()["contexts"]]
    gone = sorted(changed.pop("Messages are gone"))
    assert gone == sorted((log, "published_at") for log in logs)
    for statement in STATEMENTS["Messages are gone"]:
        assert " SET published_at = NULL, claimed_until = NULL WHERE " in statement or statement.startswith("SELECT")
    restored = changed.pop("The database was restored")
    assert restored == [("ordering.fulfilments", "due_at"), *2 * [("customers.customers", "erase_at")]]
    assert changed.pop("An order waits") == [("ordering.fulfilments", "due_at")]
    assert [row for rows in changed.values() for row in rows] == [("ordering.snapshots", "")]
    for exception in ("server-errors", "messages-are-gone", "the-database-was-restored", "an-order-waits"):
        assert f"](#{exception})" in SECTIONS["What is safe"].text


def test_every_statement_is_run_by_a_command_that_says_where_and_as_whom() -> None:
    """Nobody reaches prod's database from outside, and whoever is on call need not know a client."""
    how = SECTIONS["How to ask the database"]
    block, *doors = how.blocks("azurecli")
    rules = re.findall(r"firewall-rule (create|delete) .*--name (\w+)", "".join(doors))
    assert rules == [("create", "me"), ("delete", "me")], "dev's lets no computer in"
    assert block.index("output sqlUrl") < block.index("infra.sql.driver") < block.index("sql() {")
    assert '.venv/bin/python -m "$@"; }\nsql() { inside infra.sql.run "$@"; }\n' in block
    for said in ("](deploy.md#productions-runner)", "az login", "`ON_CALL=", SQL_ADMINISTRATORS):
        assert said in how.text
    assert len(STATEMENTS) >= 5
    for heading in STATEMENTS:
        before, *_ = SECTIONS[heading].text.split("```sql\n")
        assert f"](#{how.anchor})" in before, heading
        assert "dministrator of the database" not in SECTIONS[heading].text, "which names neither a client nor a place"


def test_what_is_read_as_one_line_is_asked_for_as_one() -> None:
    """As tsv az puts each item of a list on a line of its own, and each list of a list on one."""
    asked = re.findall(r"--query '\[+[\w.]+, ", PAGE)
    assert len(asked) >= 2
    assert [query for query in asked if "[[" not in query] == []


def test_what_a_release_is_called_is_asked_of_an_answer_that_always_says_it() -> None:
    """A 503 of health/ready has no X-Release."""
    for said in re.findall(r"X-Release` of `health/(\w+)`|health/(\w+)\"[^\n]*x-release", PAGE):
        assert "live" in said


def test_each_statement_of_a_block_ends_where_it_ends_on_the_page() -> None:
    for section in SECTIONS.values():
        for block in section.blocks("sql"):
            assert len(re.findall(r"^(?:SELECT|UPDATE|DELETE)\b", block, re.MULTILINE)) == block.count(";\n")


@pytest.mark.parametrize(
    ("heading", "command"),
    [("The database was restored", "az sql db restore"), ("The region is lost", "az sql db geo-backup restore")],
)
def test_a_restored_database_is_as_the_next_deployment_wants_it_because_that_cannot_be_changed(
    heading: str, command: str
) -> None:
    [restore] = [block for block in SECTIONS[heading].blocks("azurecli") if command in block]
    options = restore.replace("\\\n", "").partition(command)[2].partition("\n")[0]
    given = dict(re.findall(r"--([\w-]+) (\S+)", options))
    for option, wanted in (
        ("zone-redundant", "zoneRedundant"),
        ("ha-replicas", "highAvailabilityReplicaCount"),
        ("backup-storage-redundancy", "requestedBackupStorageRedundancy"),
    ):
        deployed = PROD_SNAPSHOT.one("Sql/servers/databases")["properties"][wanted]
        assert given[option] == str(deployed if isinstance(deployed, str) else json.dumps(deployed))


def test_what_a_restored_dev_is_like_is_said_and_the_next_deployment_is_seen_before_anything_is_deleted() -> None:
    section = SECTIONS["The database was restored"]
    backups = SNAPSHOTS["dev"].one("Sql/servers/databases")["properties"]["requestedBackupStorageRedundancy"]
    assert f"`--backup-storage-redundancy {backups}`" in section.text
    assert "`freeOffer: ''`" in section.text
    asked = section.text.index("infra/deploy.sh prod preview")
    shown = section.text.index("for database in tandem tandem-restored; do\n  az sql db show")
    assert asked < shown < section.text.index("az servicebus topic subscription delete")
    [compared] = re.findall(r"--query '\[\[(.*)\]\]'\ndone", section.text)
    kept = SNAPSHOTS["prod"].one("Sql/servers/databases")["properties"]
    names = {name for name in kept if name not in {"autoPauseDelay", "minCapacity"} and not name.startswith("free")}
    assert names - set(compared.split(", ")) <= {"useFreeLimit"}


GETS_ITS_NAME = "--name tandem-restored --new-name tandem\n"


def test_a_restored_database_gets_its_name_when_nothing_can_do_harm_in_it_even_if_the_app_runs_on() -> None:
    """A stopped app has been seen to run its timers: the one that keeps deadlines cancels orders that are shipped."""
    text = SECTIONS["The database was restored"].text
    before = [
        "az functionapp stop",
        "infra.sql.access --lock-out",
        "AppRequests",  # whether it works on
        "`sql FILE --database tandem-restored`",
        "UPDATE ordering.fulfilments SET due_at",
        "UPDATE customers.customers SET erase_at",
        "az servicebus topic subscription delete",
        GETS_ITS_NAME,
    ]
    after = ["](#messages-are-gone)", "`infra/deploy.sh prod database`", "az functionapp start"]
    places = [text.index(part) for part in before] + [text.rindex(part) for part in after]
    assert places == sorted(places)

    lost = SECTIONS["The region is lost"].text
    done_before = "by the steps 2 and 3 of [any restore](#the-database-was-restored). There is no message"
    assert lost.index("geo-backup restore --") < lost.index(done_before) < lost.index(GETS_ITS_NAME)
    steps = dict(re.findall(r"\*\*(\d)\. (.*?)\*\*", text))
    assert steps["2"].startswith("Lock the app out")
    assert steps["3"].startswith("Let nothing be due")
    assert "let the app in" in steps["6"]
    assert "from its step 6" in lost[lost.index(GETS_ITS_NAME) :]
    who = lost.index("who was erased since, says only the list that you keep elsewhere")
    assert lost.index(done_before) < who < lost.index(GETS_ITS_NAME), "step 3 asks it, and the new database is empty"


def test_who_was_erased_since_is_erased_again_before_a_read_model_is_rebuilt_from_the_log() -> None:
    """A rebuild shows whom the log knows, and a request makes an appointment, which is days ahead."""
    text = SECTIONS["The database was restored"].text
    places = [
        text.index("UPDATE customers.customers SET erase_at = 'LATER'"),
        text.index("UPDATE customers.customers SET erase_at = CURRENT_TIMESTAMP"),
        text.index("az functionapp start"),
        text.index("o.erasure < 2"),
        text.index("**7. Rebuild every read model**"),
    ]
    assert places == sorted(places)


def test_no_package_takes_the_place_of_another_before_the_rules_let_its_events_in() -> None:
    """Service Bus keeps away what the release that runs ignores: lost to one that takes it."""
    [at_once] = [block for block in SECTIONS["A release is bad"].blocks("azurecli") if "config-zip" in block]
    assert "\ninfra/deploy.sh prod rules &&\n  az functionapp deployment source config-zip " in at_once


def test_deadlines_are_asked_for_whatever_state_their_order_is_in() -> None:
    """One that is confirmed, or cancelled, may have a deadline too."""
    asked = re.findall(r"ops/processes\?[^'`]*due=[^'`]*", PAGE)
    assert len(asked) >= 3
    assert [path for path in asked if "state=" in path] == []


def test_whoever_finds_events_that_cannot_be_published_is_told_of_each_reason_that_is_ours() -> None:
    mend = SECTIONS["unpublished-events"].text.partition("**Mend**")[2]
    for reason in (UnknownEventType, EventTooLarge):
        assert f"- `{reason.__name__}`:" in mend
