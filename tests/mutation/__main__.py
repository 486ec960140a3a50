"""`dev.py mutate`: change the code in small ways, one at a time, and see whether the tests notice.

What they do not notice is listed; docs/mutation.md explains what may stay so, and how to read it. It works on a copy:
the folder that it is started in is not touched.
"""

import argparse
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from infra.local.demo.progress import progress
from tests.mutation.areas import AREAS, Area
from tests.mutation.survivors import PAGE, Survivor, explained, survivors

ROOT = Path(__file__).parents[2]

LEFT_OUT = shutil.ignore_patterns(
    ".*", "node_modules", "__pycache__", "mutants", "requirements*.txt", "*.zip", "e2e", "bench"
)
_COUNT = re.compile(r"(\d+)/(\d+) ")


class NotMeasured(Exception):
    """The tests could not be run on changed code: they fail as it is, for example."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell what survives; 0 if nothing does that is not explained, 1 if something does, 2 if that is not known."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    root = options.root.resolve()
    known = explained((root / PAGE).read_text(encoding="utf-8"))
    left: list[Survivor] = []
    for name, area in _chosen(options.what, options.tests).items():
        try:
            found = mutate(root, name, area, console, options.jobs)
        except NotMeasured as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        unexplained = [each for each in found if (each.was, each.now) not in known.get(each.source, ())]
        print(f"{name}: {len(found)} changes are not noticed, {len(found) - len(unexplained)} of them explained")
        left += unexplained
    for each in left:
        print(f"\n{each.source} ({each.how})")
        print("\n".join([f"-    {line}" for line in each.was.splitlines()]))
        print("\n".join([f"+    {line}" for line in each.now.splitlines()]))
    return 1 if left else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py mutate", description=__doc__)
    parser.add_argument(
        "what",
        nargs="*",
        help=f"areas ({', '.join(AREAS)}) or files of an area; by default all areas, which takes hours",
    )
    parser.add_argument("--tests", nargs="+", default=[], help="run these instead of the area's")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="changes tried at the same time")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder that is copied; the repository by default")
    return parser


def _chosen(what: Iterable[str], tests: Sequence[str]) -> dict[str, Area]:
    """Find areas by their names and files in theirs; a file of none needs `tests`."""
    chosen: dict[str, Area] = {}
    for each in what or AREAS:
        area = AREAS.get(each) or next(
            (
                Area((each,), area.tests)
                for area in AREAS.values()
                if any(fnmatch.fnmatch(each, source) for source in area.sources)
            ),
            Area((each,), ()),
        )
        chosen[each] = area._replace(tests=tuple(tests) or area.tests)
        if not chosen[each].tests:
            sys.exit(f"dev.py mutate: {each} is in no area, of which there are {', '.join(AREAS)}: say --tests")
    return chosen


def mutate(root: Path, name: str, area: Area, console: Console, jobs: int) -> list[Survivor]:
    """Try every change of an area on a copy of a folder, and give those that were not noticed.

    Raises:
        NotMeasured: the tests fail without any change, or none of the files is there.
    """
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        copy = Path(folder, root.name)
        shutil.copytree(root, copy, ignore=LEFT_OUT)
        (copy / "setup.cfg").write_text(_configuration(copy, area), encoding="utf-8")
        printed: list[str] = []
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs)]
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        with (
            subprocess.Popen(
                command, cwd=copy, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as running,
            ExitStack() as stack,
        ):
            try:
                _follow(_counts(running.stdout or (), printed), console, name, stack)
            except BaseException:
                running.kill()
                raise
        if running.returncode or not list((copy / "mutants").rglob("*.py.meta")):
            raise NotMeasured("mutmut ended without a result:\n" + "\n".join(printed[-40:]))
        return list(survivors(copy))


def _configuration(copy: Path, area: Area) -> str:
    """Write mutmut's configuration.

    It forks from a server that has only collected the tests: a fork of a process that has run them would have in its
    caches what the code as it was has put there.
    """
    beside = sorted(each.name for each in copy.iterdir() if each.name not in {"shared", "tests"})
    lists = {
        "source_paths": ["shared"],
        "only_mutate": area.sources,
        "also_copy": beside,
        "pytest_add_cli_args": ["-p", "no:xdist", "-p", "no:cacheprovider", "-q"],
        "pytest_add_cli_args_test_selection": area.tests,
        # what is logged, and what can never happen, is for people to read
        "do_not_mutate_patterns": [r"^\s*logger\.", r"raise AssertionError\("],
    }
    lines = [line for name, values in lists.items() for line in (f"{name} =", *(f"    {value}" for value in values))]
    single = ["process_isolation = forkserver", "timeout_constant = 30.0", "track_dependencies = false"]
    return "\n".join(["[mutmut]", *single, *lines, ""])


def _counts(lines: Iterable[str], printed: list[str]) -> Iterator[tuple[int, int]]:
    for line in lines:
        printed.append(line.rstrip())
        if found := _COUNT.search(line):
            yield int(found[1]), int(found[2])


def _follow(counts: Iterable[tuple[int, int]], console: Console, name: str, stack: ExitStack) -> None:
    advance, shown = None, 0
    for done, total in counts:
        if advance is None:
            advance = stack.enter_context(progress(console, name, total))
        for _ in range(done - shown):
            advance()
        shown = max(shown, done)


if __name__ == "__main__":
    sys.exit(main())
