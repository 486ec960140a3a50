"""Programs that some tests need and that pip does not install."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
BESIDE = ROOT.parent / "shared" / "tools"
"""Where they lie if they are not on PATH: beside the repository, each in a folder of its name."""
NEEDED = {
    "tests/conformance/cosmos/test_dotnet.py": ("dotnet-cosmos",),
    "tests/conformance/cosmos/test_javascript.py": ("npm",),
    "tests/conformance/servicebus/test_dotnet.py": ("dotnet-servicebus",),
    "tests/conformance/servicebus/test_javascript.py": ("npm",),
    "tests/conformance/servicebus/test_crowd.py": ("npm",),
    "tests/unit/platform/test_asyncapi.py": ("npm",),
    "tests/infra/test_tsql_check.py": ("tsql-check",),
    "tests/e2e/console": ("npm", "chromium"),
}
"""By test file, or a folder of them. Where a program is not on this computer they are left out, and the run says so."""

ALSO_CALLED = {"chromium": ("chromium-browser", "google-chrome")}
"""Other names of a program."""


def found(name: str) -> str | None:
    """The path of a program; None if it is not on this computer."""
    beside = BESIDE / name / name
    on_path = next(filter(None, map(shutil.which, (name, *ALSO_CALLED.get(name, ())))), None)
    return on_path or (str(beside) if beside.exists() else None)


def left_out() -> dict[str, str]:
    """The tests that cannot run here, each with a program that it lacks."""
    lacking = ((path, name) for path, names in NEEDED.items() for name in names if found(name) is None)
    return dict(lacking)
