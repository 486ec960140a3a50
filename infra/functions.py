"""Name the functions of a package, as Microsoft's worker finds them: `python -m infra.functions FILE.zip`.

A package that cannot be imported fails here, before anybody sends it anywhere.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def functions(folder: Path) -> dict[str, dict[str, Any]]:
    """Give the triggers of an unpacked app's functions, by their names and in this order.

    Raises:
        subprocess.CalledProcessError: it cannot be imported, or the worker refuses a function; it said why.
    """
    # importing connects to nothing, so that any settings will do; and in a process of its own: it is another `shared`
    settings = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    command = [sys.executable, "-m", "infra.functions", "--unpacked", str(folder)]
    environment = {**os.environ, **settings, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    ran = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603  # ours
    triggers: dict[str, dict[str, Any]] = json.loads(ran.stdout.splitlines()[-1])
    return triggers


async def _index(folder: Path) -> dict[str, dict[str, Any]]:
    from infra.local.host.worker import load  # noqa: PLC0415  # only the process of its own has it

    return {each.name: each.trigger for each in sorted(await load(folder), key=lambda each: each.name)}


def main() -> None:
    """Print the names, one a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unpacked", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("package", type=Path, metavar="FILE.zip")
    arguments = parser.parse_args()
    if arguments.unpacked:
        print(json.dumps(asyncio.run(_index(arguments.package))))  # noqa: T201  # a command's answer
        return
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(arguments.package) as package:
        package.extractall(folder)
        print(*functions(Path(folder)), sep="\n")  # noqa: T201  # a command's answer


if __name__ == "__main__":
    main()
