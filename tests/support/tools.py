"""Programs that some tests need and that pip does not install."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
BESIDE = ROOT.parent / "shared" / "tools"
"""Where they lie if they are not on PATH: beside the repository, each in a folder of its name."""
NEEDED = {
    "tests/conformance/cosmos/test_dotnet.py": "dotnet-cosmos",
    "tests/conformance/cosmos/test_javascript.py": "npm",
    "tests/conformance/servicebus/test_dotnet.py": "dotnet-servicebus",
    "tests/conformance/servicebus/test_javascript.py": "npm",
    "tests/conformance/servicebus/test_crowd.py": "npm",
    "tests/unit/platform/test_asyncapi.py": "npm",
    "tests/e2e/console/test_console.py": "npm",
}
"""By test file. A file whose program is not on this computer is left out, and the run says so."""


def found(name: str) -> str | None:
    """The path of a program; None if it is not on this computer."""
    beside = BESIDE / name / name
    return shutil.which(name) or (str(beside) if beside.exists() else None)


def left_out() -> dict[str, str]:
    """The test files that cannot run here, each with the program that it lacks."""
    return {path: name for path, name in NEEDED.items() if found(name) is None}
