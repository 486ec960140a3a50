"""dev.py makes .venv once, repairs it when it must, and hands over. A tiny package stands for the pinned ones."""

import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
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


def dev(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, home / "dev.py", *arguments],
        env={"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(home / "wheels")},
        capture_output=True,
        text=True,
        check=False,
    )


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
    assert second.stdout == "pytest 1.0 --numprocesses=auto --dist=loadfile -k second one\n"


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
    assert dev(home, "test").stdout.endswith("pytest 3.0 --numprocesses=auto --dist=loadfile\n")
    assert not half_unpacked.exists()


def test_a_venv_whose_interpreter_is_gone_is_made_anew(home: Path) -> None:
    for link in (home / ".venv" / "bin").glob("python*"):
        link.unlink()
    assert dev(home, "test").stdout.endswith("--dist=loadfile\n")
