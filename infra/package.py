"""Make the package that Azure runs: `python -m infra.package FILE.zip [COMMIT]`.

It holds what the last commit (or that one) says of the app, its packages' names and hashes (Azure installs them), the
commit's name in release.txt, and nothing else. The same commit makes the same bytes. What `func azure functionapp
publish` would send, .funcignore says; it is the same. `--unpacked FOLDER` is for a tool that zips what it sends itself:
it replaces a folder that it has written before, and refuses any other.
"""

import argparse
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONTENT = ("function_app.py", "host.json", "requirements.txt", "shared")
RELEASE = "release.txt"
"""The commit that the package was made of: health answers it, and so a smoke test knows whom it asks."""
BEGINNING = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can name, for all files: they are told apart by their content."""
PLAIN, EXECUTABLE = stat.S_IFREG | 0o644, stat.S_IFREG | 0o755
"""What anybody may read. An entry without type and mode is unpacked as the tool likes, often for its owner alone."""


def committed(root: Path = ROOT, commit: str = "HEAD") -> Iterator[tuple[str, int, bytes]]:
    """Read the files of a commit, in the order of their names: path from the root, mode, content.

    Raises:
        subprocess.CalledProcessError: the root is no git repository, or has no such commit with all of the content.
    """
    release = _git(root, "rev-parse", "--verify", f"{commit}^{{commit}}")
    yield RELEASE, PLAIN, release
    files = _git(root, "archive", "--format=tar", release.decode().strip(), "--", *CONTENT)
    with tarfile.open(fileobj=BytesIO(files)) as archive:
        for entry in sorted(archive, key=lambda entry: entry.name):
            file = archive.extractfile(entry)
            if file is not None:  # else a folder
                yield entry.name, EXECUTABLE if entry.mode & stat.S_IXUSR else PLAIN, file.read()


def uncommitted(root: Path = ROOT) -> list[str]:
    """List what differs from the last commit, and so is not in the package."""
    status = _git(root, "status", "--porcelain", "--", *CONTENT).decode()
    return [line[3:] for line in status.splitlines()]


def write(target: Path, root: Path = ROOT, commit: str = "HEAD") -> int:
    """Write the package of a commit; gives the number of files in it."""
    files = 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name, mode, content in committed(root, commit):
            entry = zipfile.ZipInfo(name, BEGINNING)
            entry.create_system = 3  # Unix: only then a reader takes the mode for one
            entry.external_attr = mode << 16
            package.writestr(entry, content, zipfile.ZIP_DEFLATED)
            files += 1
    return files


def unpack(folder: Path, root: Path = ROOT) -> int:
    """Write what would be in the package into a folder that holds nothing else; gives the number of files.

    What the folder held is removed, if this wrote it: that has the release beside the app, and nothing else.

    Raises:
        NotOurs: it holds something else.
    """
    if folder.is_symlink() or (folder.exists() and not _is_unpacked(folder)):
        raise NotOurs(f"{folder} holds what is no package: name another folder, or remove it")
    if folder.exists():
        shutil.rmtree(folder)
    files = 0
    for name, mode, content in committed(root):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(stat.S_IMODE(mode))
        files += 1
    return files


class NotOurs(Exception):
    """A folder was to be replaced that this has not written."""


def _is_unpacked(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    return not names or (RELEASE in names and names <= {RELEASE, *CONTENT})


def _git(root: Path, *arguments: str) -> bytes:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True).stdout  # noqa: S603  # our own words


def main() -> None:
    """Do what the command line says, and tell what is left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unpacked", action="store_true", help="write a folder, not a zip file")
    parser.add_argument("target", type=Path, metavar="FILE.zip")
    parser.add_argument("commit", nargs="?", default="HEAD", metavar="COMMIT", help="default: the last one")
    arguments = parser.parse_args()
    try:
        files = unpack(arguments.target) if arguments.unpacked else write(arguments.target, commit=arguments.commit)
    except NotOurs as error:
        sys.exit(str(error))
    print(f"{files} files in {arguments.target}")  # noqa: T201  # tells a person
    if arguments.commit == "HEAD" and (left_out := uncommitted()):
        print("Not committed, and not in it:", *left_out, file=sys.stderr)  # noqa: T201  # likewise


if __name__ == "__main__":
    main()
