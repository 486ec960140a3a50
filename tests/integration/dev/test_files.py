"""What a user can mend is one line: a damaged file, somebody else's folder, a full disk, a reader that has gone."""

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.local import issuer, stack
from infra.local.files import write_whole
from tests.support.tools import ROOT

COMMANDS = ["token", "rebuild", "dead-letters"]
OBEYS = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
    if os.name == "posix" and os.geteuid() == 0
    else []
)
"""Makes root obey the permissions of files, as everybody else does."""


def started(*arguments: str | Path, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """A command of dev.py, in the interpreter of the tests."""
    code = f"import dev, sys; sys.exit(dev.run(['-m', *dev.COMMANDS[{arguments[0]!r}], *sys.argv[1:]]))"
    command = [*before, sys.executable, "-c", code, *map(str, arguments[1:])]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def says_one_line(ran: subprocess.CompletedProcess[str]) -> str:
    """What it says about why it was not done."""
    assert ran.returncode == 1, ran
    assert "Traceback" not in ran.stderr
    assert len(ran.stderr.splitlines()) == 1, ran.stderr
    return ran.stderr


def full_disk() -> None:
    """Let this process write no more than a kilobyte into any file; it is told so as it is of a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"pid": "x"}', b"null", b'{"base_url": 7}'])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_note_of_the_stack_is_none(tmp_path: Path, command: str, content: bytes) -> None:
    (tmp_path / "stack.json").write_bytes(content)
    assert "No stack runs on" in says_one_line(started(command, "--data", tmp_path))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("odd", ["a folder", "a loop"])
def test_a_note_that_is_no_file_is_told_in_a_line(tmp_path: Path, command: str, odd: str) -> None:
    if odd == "a folder":
        (tmp_path / "stack.json").mkdir()
    else:
        (tmp_path / "stack.json").symlink_to(tmp_path / "stack.json")
    assert "stack.json cannot be used: " in says_one_line(started(command, "--data", tmp_path))


@pytest.mark.parametrize(
    ("command", "closed"),
    [
        ("up", "stack.lock"),
        ("up", "."),
        *((each, closed) for each in COMMANDS for closed in ("stack.lock", "stack.json", ".")),
    ],
)
def test_another_users_folder_is_told_in_a_line(tmp_path: Path, command: str, closed: str) -> None:
    stack.Stack("http://127.0.0.1:1", str(tmp_path), 7, {"host": 1}).write(tmp_path)
    (tmp_path / "stack.lock").touch()
    (tmp_path / closed).chmod(0)
    try:
        ran = started(command, "--data", tmp_path, before=OBEYS)
        assert f"cannot be used: {os.strerror(errno.EACCES)}" in says_one_line(ran)
    finally:
        (tmp_path / closed).chmod(0o700)


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_file_of_the_key_is_made_anew(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / issuer.KEY_FILE
    file.write_bytes(content)
    with pytest.raises(issuer.NoKeyError):
        issuer.key_of(tmp_path)
    key = issuer.make_key(tmp_path).read_text()
    assert len(key) == len(issuer.SHAPE) + 64
    assert file.stat().st_mode & 0o777 == 0o600
    assert issuer.make_key(tmp_path).read_text() == key


def test_a_full_disk_leaves_what_was_there_and_no_half_of_a_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "note", "before")
    code = "import sys; from infra.local.files import *; write_whole(Path(sys.argv[1]), 'x' * 100_000)"
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "note"],
        cwd=ROOT,
        preexec_fn=full_disk,  # no threads run here
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.stderr.splitlines()[-1].startswith("OSError: [Errno 27] File too large"), ran.stderr
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("note", "before")]


def test_a_note_is_read_as_it_was_written(tmp_path: Path) -> None:
    noted = stack.Stack("http://127.0.0.1:1", str(tmp_path), 7, {"host": 1}, {"host": 8}, {"A": "b"}, 1.5)
    noted.write(tmp_path)
    assert stack.read(tmp_path) == noted
    assert [file.name for file in tmp_path.iterdir()] == ["stack.json"]
    assert json.loads((tmp_path / "stack.json").read_text())["pid"] == 7


BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


@pytest.mark.parametrize("environment", [BUFFERED, BUFFERED | {"PYTHONUNBUFFERED": "1"}])
def test_a_reader_that_has_gone_from_the_list_of_commands_is_no_error(environment: dict[str, str]) -> None:
    assert without_a_reader([], environment) == (141, "")


@pytest.mark.parametrize("arguments", [["token", "--help"], ["up", "--help"], ["simulate", "--help"]])
def test_a_reader_that_has_gone_is_no_error(arguments: list[str]) -> None:
    assert without_a_reader(arguments, BUFFERED) == (141, "")


def without_a_reader(arguments: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Run a command whose output nobody reads; its exit code and what it complains of."""
    command = [sys.executable, "dev.py", *arguments]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)
    return ran.returncode, ran.stderr


@pytest.mark.parametrize("redirected", [">&-", "2>&-", ">&- 2>&-", "</dev/null >&-"])
@pytest.mark.parametrize("arguments", ["help", "token --help", "token --data nowhere"])
def test_closed_streams_are_no_error(arguments: str, redirected: str) -> None:
    ran = subprocess.run(  # noqa: S602  # it closes the streams
        f"exec {sys.executable} dev.py {arguments} {redirected}",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == (1 if "nowhere" in arguments else 0)
    assert "Traceback" not in ran.stdout + ran.stderr
    assert "Exception ignored" not in ran.stdout + ran.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_full_disk_behind_the_output_is_told_in_a_line() -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "dev.py", "token", "--help"],
            cwd=ROOT,
            env=BUFFERED,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert "No space left on device" in says_one_line(ran)
