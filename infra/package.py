"""Make the package that Azure runs: `python -m infra.package FILE.zip`.

It holds what is committed of the app, its packages' names and hashes (Azure installs them), and nothing else. The same
content makes the same bytes. What `func azure functionapp publish` would send, .funcignore says; it is the same.
"""

import argparse
import subprocess
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONTENT = ("function_app.py", "host.json", "requirements.txt", "shared")
BEGINNING = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can name, for all files: they are told apart by their content."""


def content(root: Path = ROOT) -> list[str]:
    """List the files, as paths from the root.

    Raises:
        subprocess.CalledProcessError: the root is no git working tree.
    """
    listed = subprocess.run(  # noqa: S603  # nothing in it comes from outside
        ["git", "ls-files", "-z", "--", *CONTENT],  # noqa: S607  # whichever git one works with
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return sorted(filter(None, listed.stdout.split("\0")))


def write(target: Path, root: Path = ROOT) -> int:
    """Write the package; gives the number of files in it."""
    files = content(root)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name in files:
            package.writestr(zipfile.ZipInfo(name, BEGINNING), (root / name).read_bytes(), zipfile.ZIP_DEFLATED)
    return len(files)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path, metavar="FILE.zip")
    target = parser.parse_args().target
    print(f"{write(target)} files in {target}")  # noqa: T201  # tells a person
