"""What deploy.sh goes back to when a release fails, and that no older release takes a newer one's place."""

import zipfile

import pytest

from tests.infra.azure import CLOSED_NETWORK, UNDER_WAY, Azure, checked_out, committed, executable, later

ACTIVE = (
    "ERROR: (DeploymentActive) The deployment with resource id 'x' cannot be saved, because this would overwrite an "
    "existing deployment which is still active. Please see https://aka.ms/arm-deploy for usage details."
)
BUILD_FAILED = (
    "ERROR: Zip deployment failed. {'status': 3}. These are the deployment logs: \n[pip: no matching distribution]"
)


@pytest.mark.parametrize("clone", ["fetched", "not fetched"])
def test_an_older_checkout_does_not_touch_what_a_later_release_runs_on(azure: Azure, clone: str) -> None:
    """Its rules would keep events away from that release, and its database refuses only after them."""
    release, known = later(azure.state)
    azure.let_run(release)
    ran = azure.deploy("dev", **(known if clone == "fetched" else {}))
    assert ran.returncode == 1
    assert f"{release} runs, and is no part of this checkout" in ran.stderr
    assert azure.commands() == ["deployment group what-if"]
    azure.let_run(committed())
    assert azure.deploy("dev", "infrastructure").returncode == 0


@pytest.mark.parametrize(
    ("stage", "command", "said"),
    [
        ("infrastructure", "deployment group create", ACTIVE),
        ("application", "functionapp deployment source config-zip", UNDER_WAY),
    ],
)
def test_a_checkout_that_became_older_while_it_waited_is_refused(
    azure: Azure, stage: str, command: str, said: str
) -> None:
    """What it waits for may be the deployment of a later release."""
    release, known = later(azure.state)
    azure.let_run(committed())
    azure.let_run(release, "meanwhile")
    azure.good = {release}
    azure.tell(passing={command: [1, said]})
    ran = azure.deploy("dev", stage, **known)
    assert ran.returncode == 1
    assert f"{release} runs, and is no part of this checkout" in ran.stderr
    assert "what ran before still runs" not in ran.stderr
    assert azure.commands() == [command]
    assert azure.runs() == release


def test_an_older_package_is_refused_unless_somebody_says_what_they_go_back_from(azure: Azure) -> None:
    """Also over a migration: a package leaves the database as it is."""
    release, known = later(azure.state, "infra/sql/migrations/versions/9999_later.py")
    azure.let_run(release)
    ran = azure.deploy("dev", "application", **known)
    assert ran.returncode == 1
    assert f"{release} runs, and is no part of this checkout" in ran.stderr
    assert azure.commands() == []
    assert azure.deploy("dev", "application", ROLL_BACK_FROM=release, **known).returncode == 0
    assert azure.runs() == committed()


def test_what_somebody_else_has_deployed_meanwhile_is_not_taken_back(azure: Azure) -> None:
    azure.last_good()
    azure.let_run("later", "meanwhile")
    azure.healthy = False
    azure.tell(passing={"functionapp deployment source config-zip": [1, BUILD_FAILED]})
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0")
    assert ran.returncode == 1
    assert "somebody else has deployed later meanwhile: that stays" in ran.stderr
    assert azure.runs() == "later"


def test_a_release_that_came_while_the_way_back_was_waited_for_stays(azure: Azure) -> None:
    azure.last_good()
    azure.let_run("later", "meanwhile")
    azure.healthy = False
    azure.tell(afterwards={"functionapp deployment source config-zip": UNDER_WAY})
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0", ROLE_SECONDS="5")
    assert ran.returncode == 1
    assert "somebody else has deployed later meanwhile: that stays" in ran.stderr
    assert azure.commands() == ["functionapp deployment source config-zip"] * 2
    assert azure.runs() == "later"
    assert "does not work either" not in ran.stderr


def test_a_bad_package_gives_way_though_azure_does_not_tell_what_runs(azure: Azure) -> None:
    azure.last_good()
    azure.healthy = False
    azure.tell(afterwards={"functionapp list": "ERROR: Too Many Requests(x)"})
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0")
    assert ran.returncode == 1
    assert "Too Many Requests" in ran.stderr
    assert azure.runs() == "good"


def test_whoever_says_what_they_go_back_from_does(azure: Azure) -> None:
    release, known = later(azure.state)
    azure.let_run(release)
    assert azure.deploy("dev", "infrastructure", ROLL_BACK_FROM="another", **known).returncode == 1
    for said in (release, "any"):
        assert azure.deploy("dev", "infrastructure", ROLL_BACK_FROM=said, **known).returncode == 0
    assert azure.commands() == ["deployment group create"] * 2


def test_nobody_goes_back_over_a_migration_that_the_database_would_refuse_afterwards(azure: Azure) -> None:
    release, known = later(azure.state, "infra/sql/migrations/versions/9999_later.py")
    azure.let_run(release)
    ran = azure.deploy("dev", "infrastructure", ROLL_BACK_FROM=release, **known)
    assert ran.returncode == 1
    assert f"{release} has brought migrations that this checkout lacks" in ran.stderr
    assert azure.commands() == []


def test_templates_alone_go_back_over_a_migration_and_all_stages_do_not(azure: Azure) -> None:
    """The runbook brings the good release's templates before its package, and leaves the database as it is."""
    release, known = later(azure.state, "infra/sql/migrations/versions/9999_later.py")
    azure.let_run(release)
    known |= {"DATABASE_STAYS": "true"}
    assert azure.deploy("dev", "infrastructure", **known).returncode == 1
    known |= {"ROLL_BACK_FROM": release}
    assert azure.deploy("dev", "infrastructure", "database", **known).returncode == 1
    assert azure.commands() == []
    assert azure.deploy("dev", "infrastructure", **known).returncode == 0
    assert azure.commands() == ["deployment group create"]


def test_an_app_that_does_not_say_its_release_is_deployed_to(azure: Azure) -> None:
    """It is new, or broken, and a deployment is what mends it."""
    azure.let_run("")
    ran = azure.deploy("dev", "infrastructure")
    assert ran.returncode == 0, ran.stderr
    assert "it is not known which release runs" in ran.stdout
    executable(azure.state / "bin" / "curl", "exit 6")
    assert azure.deploy("dev", "infrastructure").returncode == 0


def test_azd_asks_whether_a_later_release_runs(azure: Azure) -> None:
    assert azure.deploy("dev", "forward").returncode == 0
    azure.let_run(later(azure.state)[0])
    assert azure.deploy("dev", "forward").returncode == 1
    (azure.state / "group").unlink()
    assert azure.deploy("dev", "forward").returncode == 0


def test_a_package_that_fails_its_smoke_test_gives_way_to_the_last_good_one(azure: Azure) -> None:
    azure.healthy = False
    kept = azure.last_good()
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="1")
    assert ran.returncode == 1
    assert "/health/ready: curl: (22)" in ran.stderr
    assert "good works again" in ran.stderr
    assert azure.runs() == "good"
    assert (azure.state / "last-good.zip").read_bytes() == kept
    assert azure.paths.count("/api/health/ready") > 2  # more than once in vain, once well


def test_a_package_that_people_have_taken_out_does_not_come_back_when_the_next_one_fails(azure: Azure) -> None:
    """They go back at once, from anywhere, and the package that passed its smoke test and was bad is still kept."""
    azure.last_good()
    before, known = later(azure.state)
    azure.let_run(before)
    azure.healthy, azure.good = False, {before}
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0", ROLL_BACK_FROM=before, **known)
    assert ran.returncode == 1
    assert f"{before} runs, and is not the last good package" in ran.stdout
    assert f"{before} works again" in ran.stderr
    assert azure.runs() == before
    with zipfile.ZipFile(azure.state / "deployed.zip") as package:
        assert {"function_app.py", "host.json", "requirements.txt"} < set(package.namelist())


@pytest.mark.parametrize(
    ("comes", "refused"),
    [
        ("the same release once more", {}),
        ("the next one", {}),
        ("the next one", {"functionapp deployment source config-zip": [1, BUILD_FAILED]}),
    ],
)
def test_a_package_whose_job_was_cut_off_is_not_gone_back_to(
    azure: Azure, comes: str, refused: dict[str, list[object]]
) -> None:
    """It has not passed, and nothing has turned it back: the next that fails gives way to the one that did pass."""
    kept = azure.last_good(committed())
    cut_off, known = later(azure.state)
    azure.let_run(cut_off)
    azure.healthy, azure.good = False, {committed()}
    azure.tell(passing=refused)
    release = cut_off if comes == "the same release once more" else later(azure.state, onto=cut_off)[0]
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0", **known, **checked_out(azure.state, release))
    assert ran.returncode == 1
    assert azure.runs() == committed(), ran.stderr
    assert f"{committed()} works again" in ran.stderr
    assert (azure.state / "last-good.zip").read_bytes() == kept


def test_nothing_is_gone_back_to_where_what_runs_cannot_be_made_again(azure: Azure) -> None:
    kept = azure.last_good()
    azure.let_run("0" * 40)
    azure.healthy = False
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0", ROLL_BACK_FROM="any")
    assert ran.returncode == 1
    assert "there is nothing: what fails its smoke test stays" in ran.stderr
    assert "the new package does not work, and there is none to go back to" in ran.stderr
    assert azure.runs() == committed()
    assert (azure.state / "last-good.zip").read_bytes() == kept


def test_a_first_package_that_fails_is_reported_and_does_not_become_the_last_good_one(azure: Azure) -> None:
    azure.healthy = False
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0")
    assert ran.returncode == 1
    assert "the new package does not work, and there is none to go back to" in ran.stderr
    assert not (azure.state / "last-good.zip").exists()


def test_a_package_that_azure_does_not_take_leaves_what_runs(azure: Azure) -> None:
    kept = azure.last_good()
    azure.tell(refused={"functionapp deployment source config-zip": BUILD_FAILED})
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 1
    assert "the new package was not taken by Azure; what ran before still runs" in ran.stderr
    assert azure.commands() == ["functionapp deployment source config-zip"]
    assert azure.runs() == "good"
    assert (azure.state / "last-good.zip").read_bytes() == kept


def test_a_package_that_is_not_taken_but_breaks_what_runs_gives_way_to_the_last_good_one(azure: Azure) -> None:
    azure.last_good()
    azure.good_fails = 1
    azure.tell(passing={"functionapp deployment source config-zip": [1, BUILD_FAILED]})
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0")
    assert ran.returncode == 1
    assert "the new package was not taken by Azure: back to good" in ran.stderr
    assert "good works again" in ran.stderr
    assert azure.runs() == "good"


@pytest.mark.parametrize("refused", [{}, {"functionapp deployment source config-zip": BUILD_FAILED}])
def test_a_last_good_package_that_does_not_help_is_said_and_kept(azure: Azure, refused: dict[str, str]) -> None:
    kept = azure.last_good()
    azure.healthy, azure.good_fails = False, 9
    azure.tell(refused=refused)
    ran = azure.deploy("dev", "application", SMOKE_SECONDS="0")
    assert ran.returncode == 1
    assert "good does not work either" in ran.stderr
    assert (azure.state / "last-good.zip").read_bytes() == kept


def test_a_package_that_works_but_is_not_kept_fails_the_stage_and_stays(azure: Azure) -> None:
    azure.tell(refused={"storage blob upload": CLOSED_NETWORK})
    ran = azure.deploy("dev", "application")
    assert ran.returncode == 1
    assert "the new package works, but is not kept to go back to" in ran.stderr
    assert azure.runs() == committed()
