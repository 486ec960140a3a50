"""Microsoft's Bicep compiler on the templates: lint them, and keep what they would deploy as snapshots, without Azure.

`python3 dev.py snapshot` writes infra/ENVIRONMENT.snapshot.json anew: every resource of a deployment with its values,
for made-up ids and settings. `python3 dev.py check` fails when a snapshot differs from the templates' result, so a
change of the templates always shows its effect in Azure.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from infra.local.screen import command

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"

VERSION = "0.49.2"
"""The compiler that the snapshots are made with. Another one may write some values in other words."""

ENVIRONMENTS = ("dev", "prod")

FILES = {
    "dev": INFRA / "dev.bicepparam",
    "prod": INFRA / "prod.bicepparam",
    "options": ROOT / "tests" / "infra" / "options.bicepparam",  # every option that the two leave off; for the tests
}
"""Parameter files that are linted and evaluated. A snapshot lies beside its file."""

SETTINGS = {
    "SQL_ADMINISTRATORS_NAME": "administrators",
    "SQL_ADMINISTRATORS_ID": "00000000-0000-0000-0000-00000000000a",
    "API_CLIENT_ID": "00000000-0000-0000-0000-00000000000b",
    "ALERT_EMAIL": "operators@example.com",
    "BUDGET_START": "2026-11-01",
    "DEPLOYER_OBJECT_ID": "00000000-0000-0000-0000-00000000000c",
}
"""The environment variables that the parameter files read. They see no others."""

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-000000000002"

HOSTED = ("GITHUB_ACTIONS", "TF_BUILD")
"""Variables that GitHub Actions and Azure Pipelines set: there az installs the compiler, and a check must not skip
it."""

NONE = (
    "left out: there is no bicep on this computer. With az: az bicep install --version v"
    f"{VERSION}; without: https://aka.ms/bicep-install"
)


def compiler() -> str | None:
    """Find the compiler: on PATH, beside the repository, or where `az bicep install` puts it; None if it is missing."""
    places = (ROOT.parent / "shared" / "tools" / "bicep" / "bicep", Path.home() / ".azure" / "bin" / "bicep")
    return shutil.which("bicep") or next((str(place) for place in places if place.exists()), None)


def lint(bicep: str) -> int:
    """Lint all templates that the parameter files use, which are all; a warning counts as an error."""
    said = [_run(bicep, "lint", file) for file in FILES.values()]
    findings = dict.fromkeys(line for ran in said for line in (ran.stdout + ran.stderr).splitlines() if line)
    print(*findings, sep="\n", end="\n" if findings else "")
    return 1 if findings or any(ran.returncode for ran in said) else 0


def snapshot(bicep: str, mode: str) -> int:
    """Write the snapshots (mode `overwrite`), or say where they differ from the templates (`validate`)."""
    code = 0
    for name, file in FILES.items():
        place = ("--subscription-id", SUBSCRIPTION, "--tenant-id", TENANT, "--location", "westeurope")
        group = ("--resource-group", f"rg-tandem-{name}", "--deployment-name", "tandem")
        ran = _run(bicep, "snapshot", file, "--mode", mode, *place, *group)
        if ran.returncode:
            print(ran.stdout + ran.stderr + f"{file.stem}.snapshot.json is stale: python3 dev.py snapshot")
            code = 1
        elif mode == "overwrite":
            _sort_outputs(file.with_suffix(".snapshot.json"))
    found = _run(bicep, "--version").stdout
    if code and VERSION not in found:
        print(f"The snapshots are made with Bicep {VERSION}; this is {found.strip()}")
    return code


def _sort_outputs(file: Path) -> None:
    """Give the outputs an order: the compiler writes another one each time, which would look like changes."""
    written = json.loads(file.read_text(encoding="utf-8"))
    written["outputs"] = dict(sorted(written["outputs"].items()))
    file.write_text(json.dumps(written, indent=2, ensure_ascii=False), encoding="utf-8")


def _run(bicep: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "USERPROFILE", "TMPDIR", "TEMP") if name in os.environ}
    return subprocess.run(
        [bicep, *arguments], env={**kept, **SETTINGS}, cwd=ROOT, capture_output=True, text=True, check=False
    )


def check() -> int:
    """Lint the templates and validate the snapshots; left out without a compiler, but not in a hosted pipeline."""
    bicep = compiler()
    if bicep is None:
        print(NONE)
        return 1 if any(name in os.environ for name in HOSTED) else 0
    return lint(bicep) or snapshot(bicep, "validate")


def main() -> int:
    """Write the snapshots."""
    bicep = compiler()
    if bicep is None:
        print(NONE)
        return 1
    return snapshot(bicep, "overwrite")


if __name__ == "__main__":
    sys.exit(command(main))
