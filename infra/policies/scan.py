"""Let a policy scanner (checkov) read what the templates would deploy: `python3 dev.py policies`.

It reads the snapshots: the compiled template itself is modules and expressions, in which it finds nothing to check.
It is installed, pinned, into .local/policies, an environment of its own: it wants other versions of much that the
tests use.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SCANNER = ROOT / ".local" / "policies"
BIN = SCANNER / ("Scripts" if os.name == "nt" else "bin")
ENVIRONMENTS = ("dev", "prod")
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


type Exceptions = dict[str, dict[str, str]]
"""Of each check: the resources that need not pass it (a pattern, as a shell has it), with the reason."""


@dataclass(frozen=True)
class Finding:
    """A check that a resource does not pass, such as CKV_AZURE_13 and Web/sites.func-tandem-dev."""

    check: str
    resource: str
    what: str


def exceptions() -> Exceptions:
    """What is left as it is."""
    return tomllib.loads((HERE / "exceptions.toml").read_text(encoding="utf-8"))


def findings(environment: str) -> list[Finding]:
    """What does not pass."""
    snapshot = json.loads((ROOT / "infra" / f"{environment}.snapshot.json").read_text(encoding="utf-8"))
    template = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": snapshot["predictedResources"]}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{environment}.json")
        file.write_text(json.dumps(template), encoding="utf-8")
        command = [str(BIN / "checkov"), "--file", str(file), "--framework", "arm", "--output", "json"]
        ran = subprocess.run(
            [*command, "--skip-download", "--soft-fail"], capture_output=True, text=True, check=False, cwd=folder
        )
    if ran.returncode:
        sys.exit(ran.stderr)
    report = json.loads(ran.stdout)
    if report["summary"]["passed"] == 0 or report["summary"]["parsing_errors"]:
        sys.exit(f"The scanner could not read {environment}: {report['summary']}")
    return [
        Finding(each["check_id"], each["resource"].removeprefix("Microsoft."), each["check_name"])
        for each in report["results"]["failed_checks"]
    ]


def judge(found: Iterable[Finding], known: Exceptions) -> list[str]:
    """Say what is neither mended nor excepted for this resource, and which exception nothing needs."""
    said, needed = [], set()
    for each in found:
        matching = [(each.check, place) for place in known.get(each.check, {}) if fnmatchcase(each.resource, place)]
        needed.update(matching)
        if not matching:
            said.append(f"{each.check} on {each.resource}: {each.what}")
    unneeded = {(check, place) for check, places in known.items() for place in places} - needed
    return said + [f"nothing needs the exception {check} on {place} any more" for check, place in sorted(unneeded)]


def install() -> None:
    """Make the environment, unless it is there."""
    lock = HERE / "requirements.txt"
    stamp = SCANNER / "installed"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    venv.create(SCANNER, clear=True, with_pip=True)
    pip = [str(BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    subprocess.run([*pip, "--requirement", str(lock)], check=True)
    stamp.write_text(wanted, encoding="utf-8")


def main() -> int:
    """Tell what is to be mended or excepted, and which exception nothing needs; 0 if there is no such thing."""
    install()
    found = [finding for environment in ENVIRONMENTS for finding in findings(environment)]
    said = judge(found, exceptions())
    print(*said, f"{len(found)} findings, {len(said)} of them or of their exceptions not in order", sep="\n")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
