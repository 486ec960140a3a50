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

ROOT = Path(__file__).parents[1]


def functions(folder: Path) -> list[str]:
    """List the functions of an unpacked app, in the order of their names.

    Raises:
        subprocess.CalledProcessError: it cannot be imported, or the worker refuses a function; it said why.
    """
    # importing connects to nothing, so that any settings will do; and in a process of its own: it is another `shared`
    settings = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    command = [sys.executable, "-m", "infra.functions", "--unpacked", str(folder)]
    environment = {**os.environ, **settings, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    ran = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603  # ours
    names: list[str] = json.loads(ran.stdout.splitlines()[-1])
    return names


async def _index(folder: Path) -> list[str]:
    from infra.local.host.worker import load  # noqa: PLC0415  # only the process of its own has it

    return sorted(function.name for function in await load(folder))


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
