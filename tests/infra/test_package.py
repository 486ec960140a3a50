"""What Azure gets to run: the files, and the functions that Microsoft's worker finds in them."""

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from itertools import combinations, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from infra.functions import functions
from infra.package import RELEASE, NotOurs, committed, uncommitted, unpack, write
from tests.support.app import function_names

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commit the app as it is in the working tree, elsewhere: what is tested is not what was committed last."""
    root = tmp_path_factory.mktemp("app")
    for name in listed():
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    git(root, "init", "--quiet")
    git(root, "add", "--all", "--force")
    git(root, "commit", "--quiet", "--message", "all")
    return root


def listed(*options: str) -> list[str]:
    return git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", *options).splitlines()


@pytest.fixture
def package(app: Path, tmp_path: Path) -> Path:
    write(tmp_path / "app.zip", app)
    return tmp_path / "app.zip"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Commit a small app to a repository of its own."""
    root = tmp_path / "repository"
    (root / "shared").mkdir(parents=True)
    for name in ("function_app.py", "host.json", "requirements.txt", "shared/code.py", "shared/tool.sh", "README.md"):
        (root / name).write_text("committed")
        (root / name).chmod(0o600)
    (root / "shared" / "tool.sh").chmod(0o700)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "all")
    return root


def test_it_holds_the_app_its_release_and_nothing_else(app: Path) -> None:
    files = [name for name, *_ in committed(app)]
    assert {path.partition("/")[0] for path in files} == {
        *("function_app.py", "host.json", "requirements.txt", "shared", RELEASE)
    }
    assert not [path for path in files if "test" in path or "local" in path or "__pycache__" in path]
    assert "shared/ordering/functions.py" in files


def test_it_is_what_core_tools_would_publish(app: Path) -> None:
    # .funcignore is written like .gitignore, and git can be asked what such a file leaves out
    ignored = git(app, "ls-files", "--cached", "--ignored", f"--exclude-from={ROOT / '.funcignore'}").splitlines()
    assert set(git(app, "ls-files").splitlines()) - set(ignored) == {name for name, *_ in committed(app)} - {RELEASE}


def test_the_same_content_makes_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one.zip", tmp_path / "other.zip"
    write(one)
    write(other)
    assert one.read_bytes() == other.read_bytes()


def test_it_is_the_last_commit_whatever_was_edited_or_added_since(repository: Path, tmp_path: Path) -> None:
    (repository / "function_app.py").write_text("edited")
    (repository / "shared" / "code.py").unlink()
    (repository / "shared" / "new.py").write_text("new")
    git(repository, "add", "shared/new.py")
    write(tmp_path / "app.zip", repository)
    with zipfile.ZipFile(tmp_path / "app.zip") as package:
        assert package.read("function_app.py") == package.read("shared/code.py") == b"committed"
        assert "shared/new.py" not in package.namelist()
        assert package.read(RELEASE).decode() == git(repository, "rev-parse", "HEAD")
    assert uncommitted(repository) == ["function_app.py", "shared/code.py", "shared/new.py"]


def test_it_is_an_earlier_commit_where_one_is_named(repository: Path, tmp_path: Path) -> None:
    before = git(repository, "rev-parse", "HEAD").strip()
    write(tmp_path / "before.zip", repository)
    (repository / "function_app.py").write_text("later")
    git(repository, "commit", "--quiet", "--all", "--message", "later")
    write(tmp_path / "again.zip", repository, before)
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "before.zip").read_bytes()


def test_every_entry_is_a_regular_file_that_anybody_may_read(repository: Path, tmp_path: Path) -> None:
    write(tmp_path / "app.zip", repository)
    with zipfile.ZipFile(tmp_path / "app.zip") as package:
        modes = {entry.filename: stat.filemode(entry.external_attr >> 16) for entry in package.infolist()}
        assert {entry.create_system for entry in package.infolist()} == {3}  # Unix, whose modes these are
    assert modes.pop("shared/tool.sh") == "-rwxr-xr-x"
    assert set(modes.values()) == {"-rw-r--r--"}


def test_another_user_can_read_what_was_unpacked(package: Path) -> None:
    with TemporaryDirectory() as folder, zipfile.ZipFile(package) as file:  # pytest's own folders are their owner's
        Path(folder).chmod(0o755)
        for entry in file.infolist():
            written = Path(file.extract(entry, folder))
            written.chmod(stat.S_IMODE(entry.external_attr >> 16))
        nobody = 65534 if os.geteuid() == 0 else None  # only root can be another user
        read = subprocess.run(
            ["find", folder, "!", "-perm", "-o+r", "-o", "-type", "f", "-exec", "cat", "{}", "+"],
            stdout=subprocess.PIPE,
            check=True,
            user=nobody,
            group=nobody,
            extra_groups=None if nobody is None else (),
        )
        everything = sum(entry.file_size for entry in file.infolist())
    assert len(read.stdout) == everything


def test_unpacked_it_is_the_same_files_and_none_of_before(app: Path, package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    unpack(folder, app)
    (folder / "shared" / "old.py").touch()
    assert unpack(folder, app) == len(list(committed(app)))
    with zipfile.ZipFile(package) as file:
        assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(file.namelist())


@pytest.mark.parametrize("left", ["notes.txt", "release.txt notes.txt", "function_app.py host.json shared"])
def test_a_folder_that_it_did_not_write_is_refused_and_stays(repository: Path, tmp_path: Path, left: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in left.split():
        (folder / name).touch()
    (tmp_path / "link").symlink_to(folder)
    for place in (folder, tmp_path / "link", folder / left.split(maxsplit=1)[0]):
        with pytest.raises(NotOurs, match="no package"):
            unpack(place, repository)
    assert {path.name for path in folder.iterdir()} == set(left.split())
    command = [sys.executable, "-m", "infra.package", "--unpacked", str(folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (
        1,
        f"{folder} holds what is no package: name another folder, or remove it\n",
    )


def test_what_runs_from_a_package_knows_its_release(app: Path, tmp_path: Path) -> None:
    unpack(tmp_path / "app", app)
    command = [sys.executable, "-c", "from shared.frame.platform.release import RELEASE; print(RELEASE)"]
    for place, release in ((tmp_path / "app", git(app, "rev-parse", "HEAD").strip()), (ROOT, "unreleased")):
        ran = subprocess.run(command, cwd=place, capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == release


def test_microsofts_worker_finds_every_function_in_it(package: Path) -> None:
    assert set(functions_of(package)) == function_names()


def functions_of(package: Path) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-m", "infra.functions", package], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_a_package_that_does_not_import_has_no_functions_but_an_error(package: Path) -> None:
    with zipfile.ZipFile(package, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("function_app.py", "import nothing_of_this_name")
    ran = subprocess.run(
        [sys.executable, "-m", "infra.functions", package], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode != 0
    assert "nothing_of_this_name" in ran.stderr
    assert ran.stdout == ""


def may_meet(one: str, other: str) -> bool:
    """Whether a path may match both of two routes without a catch-all."""
    pairs = list(zip_longest(one.lower().split("/"), other.lower().split("/")))
    return all(None not in pair and ("{" in f"{pair[0]}{pair[1]}" or pair[0] == pair[1]) for pair in pairs)


def test_no_path_goes_to_one_or_another_function_by_their_names() -> None:
    # measured: the real host tries routes in the order of the functions' names, not by how specific they are
    assert may_meet("orders/{id}", "orders/new")
    assert not may_meet("orders/{id}", "orders/{id}/items")
    routes = {name: trigger for name, trigger in functions(ROOT).items() if trigger["type"] == "httpTrigger"}
    for (one, first), (other, second) in combinations(routes.items(), 2):
        if "zz_no_route" not in (one, other) and set(first["methods"]) & set(second["methods"]):
            assert not may_meet(first["route"], second["route"]), f"{one} and {other}"
    assert max(routes, key=str.upper) == "zz_no_route", "which matches everything, and has to be the last one"
