"""dev.py makes .venv once, repairs it when it must, and hands over. A tiny package stands for the pinned ones."""

import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

ROOT = Path(__file__).parents[3]
WITHIN = 120
"""Seconds until a step that does not end is taken to hang."""
OPTIONS = "--numprocesses=logical --dist=loadfile --no-loadscope-reorder"
STAND_IN = "import sys; print('pytest', RELEASE, *sys.argv[1:]); sys.exit(7 if 'fail' in sys.argv else 0)"


def publish(home: Path, release: str) -> None:
    """Lock a release of a package `pytest` that says its release and its arguments, and lay it where pip looks."""
    wheels = home / "wheels"
    wheels.mkdir(exist_ok=True)
    wheel = wheels / f"pytest-{release}-py3-none-any.whl"
    info = f"pytest-{release}.dist-info"
    files = {
        "pytest.py": STAND_IN.replace("RELEASE", repr(release)),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: pytest\nVersion: {release}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},\n"
        for name, text in files.items()
    )
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (home / "requirements-dev.txt").write_text(f"pytest=={release} \\\n    --hash=sha256:{digest}\n", encoding="utf-8")


PLAIN = {"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1"}


def dev(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, home / "dev.py", *arguments],
        env={**PLAIN, "PIP_FIND_LINKS": str(home / "wheels")},
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def slow_shop(wheels: Path) -> Iterator[tuple[str, Event, Event]]:
    """Serve the wheels; gives the address, whether pip has asked, and what lets it be answered."""
    asked, open_ = Event(), Event()

    class Shop(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            open_.wait(WITHIN)
            super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Shop, directory=str(wheels))) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked, open_
        finally:
            open_.set()
            server.shutdown()


def test_a_second_command_waits_for_the_installation_of_the_first(tmp_path: Path) -> None:
    shutil.copy(ROOT / "dev.py", tmp_path)
    publish(tmp_path, "1.0")
    with slow_shop(tmp_path / "wheels") as (address, asked, open_):

        def begun(*arguments: str) -> subprocess.Popen[str]:
            environment = {**PLAIN, "PIP_FIND_LINKS": address, "PIP_DEFAULT_TIMEOUT": str(WITHIN)}
            command = [sys.executable, str(tmp_path / "dev.py"), "test", *arguments]
            return subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )

        with begun("first") as first:
            assert asked.wait(WITHIN), "pip has not asked"
            with begun("second") as second:
                assert second.stdout is not None
                said = second.stdout.readline()
                open_.set()
                said += second.communicate(timeout=WITHIN)[0]
            first_said, _ = first.communicate(timeout=WITHIN)
    assert first_said.endswith(f"{OPTIONS} first\n")
    assert said == f"Another dev.py is installing; waiting until it has ended\npytest 1.0 {OPTIONS} second\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone in which the first command has run."""
    home = tmp_path_factory.mktemp("clone")
    shutil.copy(ROOT / "dev.py", home)
    publish(home, "1.0")
    first = dev(home, "test", "first")
    assert "Making .venv" in first.stdout, first.stderr
    assert first.stdout.endswith("first\n"), first.stderr
    return home


def test_the_second_command_installs_nothing(home: Path) -> None:
    second = dev(home, "test", "-k", "second one")
    assert second.stdout == f"pytest 1.0 {OPTIONS} -k second one\n"


def test_what_is_installed_needs_no_lock(home: Path) -> None:
    lock = home / ".venv.lock"
    lock.unlink()
    lock.mkdir()  # cannot be opened, as another user's file, or one on a disk that is read only
    try:
        assert dev(home, "test", "here").stdout.endswith("here\n")
    finally:
        lock.rmdir()


def test_the_exit_code_is_the_commands(home: Path) -> None:
    assert dev(home, "test", "fail").returncode == 7


def test_a_changed_lock_is_installed_into_the_same_venv(home: Path) -> None:
    publish(home, "2.0")
    changed = dev(home, "test")
    assert "pytest 2.0" in changed.stdout
    assert "Making" not in changed.stdout


def test_a_package_that_does_not_match_its_hash_is_refused_and_all_is_made_anew_next_time(home: Path) -> None:
    publish(home, "3.0")
    lock = home / "requirements-dev.txt"
    good = lock.read_text(encoding="utf-8")
    lock.write_text(f"pytest==3.0 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    refused = dev(home, "test")
    assert refused.returncode == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in refused.stderr
    assert "Traceback" not in refused.stderr
    lock.write_text(good, encoding="utf-8")
    (half_unpacked := home / ".venv" / "half-unpacked").touch()  # as any interruption may leave one
    assert dev(home, "test").stdout.endswith(f"pytest 3.0 {OPTIONS}\n")
    assert not half_unpacked.exists()


def test_a_venv_whose_interpreter_is_gone_is_made_anew(home: Path) -> None:
    for link in (home / ".venv" / "bin").glob("python*"):
        link.unlink()
    assert dev(home, "test").stdout.endswith(f"{OPTIONS}\n")
