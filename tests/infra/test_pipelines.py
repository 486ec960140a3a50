"""Scripts and pipelines are well formed, and name only what exists."""

import ast
import re
import subprocess
from pathlib import Path
from shutil import which

import pytest

from infra.local import bicep
from infra.local.bicep import ENVIRONMENTS
from tests.infra.tools import ROOT, check
from tests.mutation.areas import AREAS

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
AZURE_PIPELINES = sorted(ROOT.glob("azure-pipelines*.yml"))
PIPELINES = [*WORKFLOWS, *AZURE_PIPELINES]


SCRIPTS = [*sorted((ROOT / "infra").rglob("*.sh")), ROOT / ".ci" / "run"]


def test_shellcheck_has_nothing_to_say_about_the_scripts() -> None:
    assert len(SCRIPTS) >= 5
    check("shellcheck", *SCRIPTS)


def test_zizmor_has_nothing_to_say_about_the_workflows() -> None:
    check("zizmor", "--offline", "--quiet", ".github")


def test_an_action_has_one_hash_with_its_version_beside_it() -> None:
    """Else somebody has pinned the same action twice, or Dependabot has updated one place."""
    pinned: dict[str, set[str]] = {}
    for workflow in WORKFLOWS:
        for name, version in re.findall(r"uses: ([\w/-]+)@(.*)", workflow.read_text(encoding="utf-8")):
            pinned.setdefault(name, set()).add(version)
    assert pinned
    for name, versions in pinned.items():
        assert len(versions) == 1, name
        assert re.fullmatch(r"[0-9a-f]{40} # v\d+\.\d+\.\d+", versions.pop()), name


TOOLS = ("bash", "dirname", "grep", "mktemp", "rm", "sed", "tee")


def ci_run(folder: Path, checking: str) -> subprocess.CompletedProcess[str]:
    """Run .ci/run where dev.py is this script."""
    for tool in TOOLS:
        (folder / tool).symlink_to(which(tool) or "")
    for tool, script in (("google-chrome", ""), ("npm", ""), ("dpkg-query", "echo installed"), ("python3", checking)):
        (folder / tool).write_text(f"#!{folder}/bash\n{script}\n")
        (folder / tool).chmod(0o755)
    return subprocess.run(
        [ROOT / ".ci" / "run"], env={"PATH": str(folder)}, capture_output=True, text=True, check=False
    )


def test_ci_ends_with_what_it_could_not_check_and_with_what_failed(tmp_path: Path) -> None:
    check, test = 'echo "left out: there is no bicep"; exit 3', 'echo "left out: a file"; echo tests'
    ran = ci_run(tmp_path, f"case $2 in check) {check} ;; *) {test} ;; esac")
    assert ran.returncode == 3
    assert ran.stdout.splitlines()[-4:] == [
        "tests",
        "NOT CHECKED HERE: there is no bicep",
        "NOT CHECKED HERE: a file",
        "The checks before the tests failed: see above.",
    ]


def test_ci_fails_if_the_tests_do(tmp_path: Path) -> None:
    assert ci_run(tmp_path, "case $2 in check) ;; *) exit 4 ;; esac").returncode == 4


@pytest.mark.parametrize("hosted", [*bicep.HOSTED, None])
def test_a_hosted_pipeline_fails_without_a_compiler_and_others_say_so(
    hosted: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bicep, "compiler", lambda: None)
    for name in bicep.HOSTED:
        monkeypatch.delenv(name, raising=False)
    if hosted:
        monkeypatch.setenv(hosted, "true")
    assert bicep.check() == (1 if hosted else 0)
    assert capsys.readouterr().out.startswith("left out: there is no bicep")


@pytest.mark.parametrize("pipeline", ["ci.yml", "azure-pipelines.yml"])
def test_a_pipeline_installs_the_compiler_before_it_checks(pipeline: str) -> None:
    (text,) = (path.read_text(encoding="utf-8") for path in PIPELINES if path.name == pipeline)
    assert 0 < text.index("az bicep install --version") < text.index("bash .ci/run")


def test_azds_schema_is_the_same_unchanging_one_everywhere() -> None:
    files = [ROOT / "azure.yaml", *PIPELINES]
    named = re.findall(r"https://\S+/azure\.yaml\.json", "".join(file.read_text(encoding="utf-8") for file in files))
    assert len(named) == 3
    assert len(set(named)) == 1
    assert re.search(r"/azure-dev/[0-9a-f]{40}/schemas/", named[0])


@pytest.mark.parametrize("pipeline", ["ci.yml", "azure-pipelines.yml"])
def test_the_readme_says_what_a_pipeline_checks_beside_the_script_that_it_shares_with_a_laptop(pipeline: str) -> None:
    (text,) = (path.read_text(encoding="utf-8") for path in PIPELINES if path.name == pipeline)
    beside = re.findall(r"(?:run|bash): (?:python3 dev\.py|\.venv/bin/check-jsonschema) (\S+)", text)
    assert beside == ["policies", "azure.yaml"]
    (line,) = re.findall(r"^    bash \.ci/run +# (.*)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in beside if name not in line] == []


def test_dependabot_looks_after_every_lock_and_image() -> None:
    text = (ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8")
    entries = re.findall(r"package-ecosystem: (\S+)\n    directories: \[(.*)\]", text)
    looked_after = {(kind, folder) for kind, folders in entries for folder in folders.split(", ")}
    kinds = {"requirements.txt": "pip", "compose.yaml": "docker-compose", "package-lock.json": "npm"}
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    folders = {(kinds[file.name], f"/{file.parent}".rstrip(".")) for file in map(Path, files) if file.name in kinds}
    assert folders
    assert folders <= looked_after


@pytest.mark.parametrize("browser", ["google-chrome", "chromium", None])
def test_ci_asks_for_a_browser_only_where_there_is_none(tmp_path: Path, browser: str | None) -> None:
    """Ubuntu has no package chromium, and its hosted machines have a browser."""
    for tool in TOOLS:
        (tmp_path / tool).symlink_to(which(tool) or "")
    for tool, script in (
        ("apt-get", f'echo "$@" >>{tmp_path}/asked'),
        ("sudo", '"$@"'),
        ("dpkg-query", "echo installed"),
        ("python3", ""),
    ):
        (tmp_path / tool).write_text(f"#!{tmp_path}/bash\n{script}\n")
        (tmp_path / tool).chmod(0o755)
    if browser:
        (tmp_path / browser).symlink_to(which("true") or "")
    subprocess.run([ROOT / ".ci" / "run"], env={"PATH": str(tmp_path)}, check=True)
    asked = (tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else ""
    assert ("chromium" in asked) == (browser is None)


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.azure-pipelines", AZURE_PIPELINES),
        ("vendor.compose-spec", [ROOT / "infra" / "local" / "compose.yaml"]),
        ("vendor.dependabot", [ROOT / ".github" / "dependabot.yml"]),
    ],
)
def test_the_pipelines_fit_their_published_schemas(schema: str, files: list[Path]) -> None:
    options = ("--regex-variant", "python", "--data-transform", "azure-pipelines")
    check(
        "check-jsonschema",
        "--builtin-schema",
        schema,
        *(options if schema == "vendor.azure-pipelines" else options[:2]),
        *files,
    )


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda path: path.name)
def test_every_script_that_a_pipeline_starts_exists_and_can_be_started(pipeline: Path) -> None:
    text = pipeline.read_text(encoding="utf-8")
    for name in re.findall(
        r"(?<![\w./])(?:infra/[\w/]+\.(?:sh|bicep)|\.ci/run|\./\.github/workflows/[\w-]+\.yml)", text
    ):
        assert (ROOT / name).exists(), name
        assert not name.endswith(".sh") or (ROOT / name).stat().st_mode & 0o111, name


def test_both_nightly_pipelines_run_the_same_on_the_emulators_and_on_sql_server() -> None:
    for pipeline in (ROOT / ".github" / "workflows" / "nightly.yml", ROOT / "azure-pipelines-nightly.yml"):
        assert re.findall(r"(?:run|bash): (infra/.*)", pipeline.read_text(encoding="utf-8")) == [
            "infra/local/on_emulators.sh"
        ]
    ran = {path.relative_to(ROOT).parts[2] for path in on_sql_server() if "integration" in path.parts}
    assert ran >= {"ordering", "catalog", "customers", "payments", "messaging", "operations"}


def on_sql_server() -> list[Path]:
    """The test files that the nightly run has on SQL Server, without those of the other stores."""
    script = (ROOT / "infra" / "local" / "on_emulators.sh").read_text(encoding="utf-8")
    named = [ROOT / path for path in re.findall(r"(?<!\./)\btests/\S+", script)]
    assert ROOT / "tests" / "conformance" in named
    for path in named:
        assert path.exists(), path
    files = (file for path in named for file in (path.rglob("test_*.py") if path.is_dir() else [path]))
    return [file for file in files if file.parent.name not in {"cosmos", "servicebus"} and file.suffix == ".py"]


ALTERS = r"DropTable|\b(ALTER|CREATE|DROP) \{?\w"
SQLITES = r"\bsqlite3\b|EXPLAIN QUERY PLAN|PRAGMA"


def not_for_a_server(source: str) -> list[str]:
    """The functions of a test file that work on SQLite alone, or alter a server's schema, and do not say so."""
    if re.search(r"^pytestmark = needs_sqlite", source, re.MULTILINE):
        return []
    bad = re.compile(SQLITES if "unmigrated_database(" in source else f"{ALTERS}|{SQLITES}")
    return [
        each.name
        for each in ast.parse(source).body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if bad.search(ast.unparse(each)) and not any("needs_sqlite" in ast.unparse(it) for it in each.decorator_list)
    ]


@pytest.mark.parametrize("file", on_sql_server(), ids=lambda file: str(file.relative_to(ROOT / "tests")))
def test_what_works_on_sqlite_alone_is_not_tried_on_sql_server(file: Path) -> None:
    assert not_for_a_server(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "connection.execute(sa.schema.DropTable(ORDERS))",
        "connection.exec_driver_sql('ALTER TABLE ordering.orders DROP COLUMN status')",
        "connection.exec_driver_sql(f'CREATE {there}')",
        "connection.exec_driver_sql(f'EXPLAIN QUERY PLAN {statement}')",
        "failing = mock.Mock(side_effect=sqlite3.OperationalError('full'))",
    ],
)
def test_a_test_that_works_on_sqlite_alone_is_noticed_and_may_say_so(line: str) -> None:
    test = f"def test_it(connection):\n    {line}\n"
    assert not_for_a_server(test) == ["test_it"]
    assert not_for_a_server(f"@needs_sqlite('why')\n{test}") == []
    assert not_for_a_server(f"pytestmark = needs_sqlite('why')\n{test}") == []


def test_both_pipelines_deploy_with_the_script_in_its_own_order() -> None:
    asked = {
        "deploy-to.yml": r'infra/deploy\.sh "\$ENVIRONMENT" (.+)',
        "azure-pipelines.yml": r"arguments: \$\{\{ environment\.name \}\} (.+)",
    }
    for pipeline in PIPELINES:
        if pipeline.name in asked:
            stages = " ".join(re.findall(asked[pipeline.name], pipeline.read_text(encoding="utf-8"))).split()
            assert stages == ["preview", "infrastructure", "database", "application"], pipeline.name


@pytest.mark.parametrize(
    ("pipeline", "history", "stages"),
    [
        (".github/workflows/deploy-to.yml", "fetch-depth: 0", "preview infrastructure"),
        ("azure-pipelines.yml", 'fetchDepth: "0"', "preview infrastructure"),
        ("azure.yaml", "run: infra/azd.sh forward &&", "budget"),
    ],
)
def test_whatever_deploys_finds_out_whether_a_later_release_runs(pipeline: str, history: str, stages: str) -> None:
    """A checkout of one commit does not know that the one that runs came before it."""
    text = (ROOT / pipeline).read_text(encoding="utf-8")
    assert 0 < text.find(history) < text.index(stages)


def test_the_pipeline_hands_on_what_is_gone_back_from() -> None:
    handed = (ROOT / ".github" / "workflows" / "deploy-to.yml").read_text(encoding="utf-8")
    assert "ROLL_BACK_FROM: ${{ vars.ROLL_BACK_FROM }}" in handed


def jobs_of_deploying() -> dict[str, str]:
    """GitHub's jobs by their names."""
    text = (ROOT / ".github" / "workflows" / "deploy.yml").read_text(encoding="utf-8").partition("\njobs:\n")[2]
    _, *parts = re.split(r"^  (\w+):\n", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_both_pipelines_choose_a_runner_for_each_environment() -> None:
    """Prod's stores are reached from inside its network alone."""
    for name in ENVIRONMENTS:
        assert f"runner: ${{{{ vars.{name.upper()}_RUNNER ||" in jobs_of_deploying()[name]
    assert "runs-on: ${{ inputs.runner }}" in (ROOT / ".github/workflows/deploy-to.yml").read_text(encoding="utf-8")
    azure = (ROOT / "azure-pipelines.yml").read_text(encoding="utf-8")
    assert re.findall(r"- \{ name: (\w+), .*pool: \{ .+ \} \}", azure) == list(ENVIRONMENTS)
    stage = azure[azure.index("- ${{ each environment") :]
    assert re.findall(r"\bpool: (.*)", stage) == ["${{ environment.pool }}"]


def test_an_environment_is_deployed_again_by_hand_from_main_alone_with_all_checks() -> None:
    """After a variable has changed: docs/operations.md. Azure Pipelines start by hand anyhow."""
    assert "\n  workflow_dispatch:\n" in (ROOT / ".github" / "workflows" / "deploy.yml").read_text(encoding="utf-8")
    jobs = jobs_of_deploying()
    assert "if: github.event_name != 'pull_request' && github.ref == 'refs/heads/main'" in jobs["ci"]
    for name, needed in (("dev", "ci"), ("prod", "dev")):
        assert f"needs: {needed}\n" in jobs[name]
        assert "if:" not in jobs[name], "which would run it without what it needs"


@pytest.mark.parametrize(
    ("pipeline", "run"),
    [(".github/workflows/nightly.yml", "run_number"), ("azure-pipelines-nightly.yml", "Build.BuildId")],
)
def test_each_night_simulates_other_shops_and_soaks(pipeline: str, run: str) -> None:
    text = (ROOT / pipeline).read_text(encoding="utf-8")
    [(seeds, zeros)] = re.findall(r'dev\.py simulate --seeds (\d+) --first "\$[({][\w.]+[)}](0+)"', text)
    assert int(seeds) == int(f"1{zeros}"), "no shop of the night before, and none is left out"
    assert run in text
    assert "dev.py soak --minutes 30" in text


@pytest.mark.parametrize("pipeline", [".github/workflows/nightly.yml", "azure-pipelines-nightly.yml"])
def test_every_area_is_mutated_at_night(pipeline: str) -> None:
    text = (ROOT / pipeline).read_text(encoding="utf-8")
    listed = re.findall(r"area: \[([^]]+)\]", text) or [", ".join(re.findall(r"\{ area: (\w+) \}", text))]
    assert listed == [", ".join(AREAS)]
    assert "dev.py mutate" in text
    for other in {*PIPELINES, ROOT / ".ci" / "run"} - {ROOT / pipeline}:
        assert "nightly" in other.name or "dev.py mutate" not in other.read_text(encoding="utf-8"), other


def test_every_setting_of_a_deployment_is_handed_on_by_the_pipeline_unless_the_page_says_otherwise() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    section = page[page.index("\n## Deploying\n") : page.index("\n## Tests\n")]
    read = set(re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE))
    (exceptions,) = re.findall(r"variables of the environment, but for (.*)\.$", section, re.MULTILINE)
    not_handed_on = set(re.findall(r"`(\w+)`", exceptions))
    assert not_handed_on < read
    read -= not_handed_on
    handed = (ROOT / ".github" / "workflows" / "deploy-to.yml").read_text(encoding="utf-8")
    assert [name for name in read if f"{name}: ${{{{ vars.{name}" not in handed] == []


def test_one_run_deploys_to_an_environment_after_the_other() -> None:
    """Azure Pipelines locks what has the check, so the manual asks for it."""
    github = (ROOT / ".github" / "workflows" / "deploy-to.yml").read_text(encoding="utf-8")
    assert "group: deploy-${{ inputs.environment }}\n      cancel-in-progress: false" in github
    azure = (ROOT / "azure-pipelines.yml").read_text(encoding="utf-8")
    assert (
        "lockBehavior: sequential"
        in azure[azure.index("- ${{ each environment") : azure.index("jobs:", azure.index("- ${{ each environment"))]
    )
    assert "*exclusive lock*" in (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def test_a_pull_request_is_previewed_as_somebody_who_can_only_look() -> None:
    """It runs its own deploy.sh: with the deployer's connection it could do anything."""
    azure = (ROOT / "azure-pipelines.yml").read_text(encoding="utf-8")
    preview = azure[azure.index("- stage: preview") : azure.index("- ${{ each environment")]
    assert re.findall(r"azureSubscription: (\S+)", preview) == ["tandem-dev-preview"]
    assert re.findall(r"- group: (\S+)", preview) == ["tandem-dev-preview"]
    github = (ROOT / ".github" / "workflows" / "deploy.yml").read_text(encoding="utf-8")
    preview = github[github.index("\n  preview:") : github.index("\n  dev:")]
    assert "environment: dev-preview" in preview
    assert re.findall(r"client-id: (.*)", preview) == ["${{ vars.PREVIEW_CLIENT_ID }}"]


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda path: path.name)
def test_no_pipeline_has_a_stored_secret(pipeline: Path) -> None:
    text = pipeline.read_text(encoding="utf-8").lower()
    assert "secrets." not in text
    assert not re.search(r"client[-_]?secret|publish[-_]?profile|creds:", text)
