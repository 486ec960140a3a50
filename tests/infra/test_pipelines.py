"""Scripts and pipelines are well formed, and name only what exists."""

import re
from pathlib import Path

import pytest

from tests.infra.tools import ROOT, check

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PIPELINES = [*WORKFLOWS, ROOT / "azure-pipelines.yml"]


def test_shellcheck_has_nothing_to_say_about_the_scripts() -> None:
    scripts = [ROOT / "infra" / "deploy.sh", ROOT / "infra" / "local" / "emulators.sh", ROOT / ".ci" / "run"]
    check("shellcheck", *scripts)


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.azure-pipelines", [ROOT / "azure-pipelines.yml"]),
        ("vendor.compose-spec", [ROOT / "infra" / "local" / "compose.yaml"]),
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


def test_both_pipelines_deploy_with_the_script_in_its_own_order() -> None:
    asked = {
        "deploy-to.yml": r'infra/deploy\.sh "\$ENVIRONMENT" (.+)',
        "azure-pipelines.yml": r"arguments: \$\{\{ environment\.name \}\} (.+)",
    }
    for pipeline in PIPELINES:
        if pipeline.name in asked:
            stages = " ".join(re.findall(asked[pipeline.name], pipeline.read_text(encoding="utf-8"))).split()
            assert stages == ["preview", "infrastructure", "database", "application"], pipeline.name


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda path: path.name)
def test_no_pipeline_has_a_stored_secret(pipeline: Path) -> None:
    text = pipeline.read_text(encoding="utf-8").lower()
    assert "secrets." not in text
    assert not re.search(r"client[-_]?secret|publish[-_]?profile|creds:", text)
