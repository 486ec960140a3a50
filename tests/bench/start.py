"""Start: how long importing function_app.py takes, which a cold start on Azure Functions waits for.

Each import is a new process on a warm disk, where bytecode is kept, with the settings of a laptop. The ratio is to
importing no more than the libraries that it cannot do without.
"""

import asyncio
import os
import re
import sys
from collections import Counter
from pathlib import Path

from tests.bench.engines import ROOT, settings
from tests.bench.place import Place
from tests.bench.rounds import Spread, ratio
from tests.bench.rows import Goal, Row
from tests.bench.sizes import Sizes

SECTION = "7. Start (importing function_app.py)"
GOAL = Goal(500)
HEAVIEST = 10
TIMED = "import time; wall, cpu = time.perf_counter(), time.process_time(); import {}; "
TIMED += "print(time.perf_counter() - wall, time.process_time() - cpu)"
APP = TIMED.format("function_app")
LIBRARIES = TIMED.format("azure.functions, azure.core.exceptions, opentelemetry.metrics, pydantic, sqlalchemy, stamina")
SETTINGS = settings("sqlite:///nowhere.db", "AccountEndpoint=http://127.0.0.1:1/;AccountKey=eA==;", "Endpoint=sb://-;")
_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")


async def measure(place: Place, sizes: Sizes) -> list[Row]:
    """Import the app and its libraries in turns, and once with a look at what the time goes to."""
    bytecode = place.folder / "bytecode"
    app: list[tuple[float, float]] = []
    libraries: list[tuple[float, float]] = []
    await _python(bytecode, "-c", APP)  # compiles everything
    for _ in range(sizes.imports):
        for code, taken in ((APP, app), (LIBRARIES, libraries)):
            said, _ = await _python(bytecode, "-c", code)
            wall, cpu = map(float, said.split())
            taken.append((wall, cpu))
    walls = [wall for wall, _ in app]
    cpu = Spread.of([cpu for _, cpu in app]).median
    rows = [
        Row(
            SECTION,
            "time to import",
            Spread.of([wall * 1000 for wall in walls]),
            "ms",
            GOAL,
            f"{cpu * 1000:.0f} ms of a processor",
        ),
        Row(SECTION, "the same / its libraries alone", ratio(walls, [wall for wall, _ in libraries])),
    ]
    heaviest = await _heaviest(bytecode, sizes.imports)
    return [*rows, *heaviest]


async def _heaviest(bytecode: Path, rounds: int) -> list[Row]:
    """Tell which packages' modules take longest by themselves, without what they import."""
    runs: list[Counter[str]] = []
    for _ in range(rounds):
        _, said = await _python(bytecode, "-X", "importtime", "-c", "import function_app")
        run: Counter[str] = Counter()
        for microseconds, module in _LINE.findall(said):
            run[_package(module)] += int(microseconds)
        runs.append(run)
    packages = Counter({package: Spread.of([run[package] for run in runs]).median for package in runs[0]})
    total = sum(packages.values())
    return [
        Row(
            SECTION,
            f"heaviest: {package}",
            Spread.of([100 * run[package] / sum(run.values()) for run in runs]),
            "% of the import",
            context=f"{microseconds / 1000:.0f} ms of {total / 1000:.0f} ms",
        )
        for package, microseconds in packages.most_common(HEAVIEST)
    ]


def _package(module: str) -> str:
    parts = module.split(".")
    if parts[0].split("_")[0] in sys.stdlib_module_names or module in sys.stdlib_module_names:
        return "the standard library"
    return ".".join(parts[:2]) if parts[0] in {"azure", "shared"} else parts[0]


async def _python(bytecode: Path, *arguments: str) -> tuple[str, str]:
    """Run Python, which keeps its bytecode there and not in the checkout, even where it shall keep none."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env={**os.environ, **SETTINGS, "PYTHONPYCACHEPREFIX": str(bytecode), "PYTHONDONTWRITEBYTECODE": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, error = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the app does not import:\n{error.decode()}")
    return output.decode(), error.decode()
