"""docs/settings.md names every setting that something reads or is given, and no other."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.up import _parser, _plan
from tests.infra.snapshots import PROD
from tests.infra.tools import ROOT

ENVIRONMENTS = {"environ", "environment"}


def read_by(path: Path) -> Iterator[str]:
    """The settings that a module looks up in the environment, or lets the Functions host look up."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {
        name.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for name in node.targets
        if isinstance(name, ast.Name)
    }

    def text(key: ast.expr) -> Iterator[str]:
        value = constants.get(key.id) if isinstance(key, ast.Name) else key
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value

    for node in ast.walk(tree):
        match node:
            case (
                ast.Call(func=ast.Attribute(value=where, attr="get" | "setdefault" | "pop"), args=[key, *_])
                | ast.Subscript(value=where, slice=key)
                | ast.Compare(left=key, ops=[ast.In() | ast.NotIn()], comparators=[where])
            ) if is_environment(where):
                yield from text(key)
            case ast.Call(func=ast.Attribute(value=ast.Name("os"), attr="getenv"), args=[key, *_]):
                yield from text(key)
            case ast.Call(func=ast.Attribute(attr="number_setting"), args=[key, *_]):
                yield from text(key)
            case ast.keyword(arg="connection", value=ast.Constant(str(value))):
                yield value
            case ast.Constant(str(value)) if found := re.fullmatch(r"%(\w+)%", value):
                yield found[1]
            case _:
                pass


def is_environment(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id in ENVIRONMENTS) or (
        isinstance(node, ast.Attribute) and node.attr in ENVIRONMENTS
    )


def read_in(*places: str) -> set[str]:
    files = [file for place in places for file in (ROOT.glob(place))]
    assert files
    return {name for file in files for name in read_by(file)}


def page() -> dict[str, dict[str, list[str]]]:
    """Section -> setting -> the other cells of its row."""
    found: dict[str, dict[str, list[str]]] = {}
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE)
        assert len(rows) == len(dict(rows)), "a setting has one row"
        found[section.splitlines()[0]] = {name: cells.split(" | ") for name, cells in rows}
    return found


def sample() -> dict[str, str]:
    values: dict[str, str] = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    return values


PORTS = ("--port", "--servicebus-port", "--cosmos-port", "--payments-port")


def given_by_up(tmp_path: Path) -> dict[str, str]:
    """What `up` gives the host, at the ports that it takes unless it is told others."""
    stack = _plan(_parser().parse_args([word for port in PORTS for word in (port, "0")]), tmp_path)
    usual = vars(_parser().parse_args([]))
    settings = json.dumps(stack.settings)
    for name, option in zip(("host", "servicebus", "cosmos", "payments"), PORTS, strict=True):
        settings = settings.replace(f":{stack.ports[name]}", f":{usual[option.strip('-').replace('-', '_')]}")
    values: dict[str, str] = json.loads(settings)
    return values


def test_what_the_app_reads_or_is_given_is_on_the_page_and_nothing_else(tmp_path: Path) -> None:
    code = read_in("shared/**/*.py", "function_app.py")
    assert "SqlConnection" in code
    assert set(page()["The app"]) == code | set(PROD.settings()) | set(sample()) | set(given_by_up(tmp_path))


def test_core_tools_get_what_up_gives_its_host_and_a_place_for_timers(tmp_path: Path) -> None:
    """The same engines run for both: without a setting of theirs nobody could pay under Core Tools."""
    where = {"SqlConnection": "sqlite:///.local/tandem.db", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    assert sample() == given_by_up(tmp_path) | where


def test_the_page_says_where_each_is_set(tmp_path: Path) -> None:
    up, bicep = given_by_up(tmp_path), PROD.settings()
    for name, (*_, laptop, azure) in page()["The app"].items():
        assert ("up" in laptop, "sample" in laptop) == (name in up, name in sample()), name
        assert (azure == "template") == (name in bicep), name


def test_what_the_tools_read_is_on_the_page_and_nothing_else() -> None:
    code = read_in("infra/**/*.py", "dev.py") - set(page()["The app"])
    compose = (ROOT / "infra" / "local" / "compose.yaml").read_text(encoding="utf-8")
    assert set(page()["The laptop's tools"]) == code | set(re.findall(r"\$\{([A-Z_]+)", compose))


def test_what_a_deployment_reads_is_on_the_page_and_nothing_else() -> None:
    script = (ROOT / "infra" / "deploy.sh").read_text(encoding="utf-8")
    parameters = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "infra").glob("*.bicepparam"))
    read = re.findall(r"\$\{([A-Z_]+):-", script) + re.findall(r"readEnvironmentVariable\('(\w+)'", parameters)
    assert set(page()["Deploying"]) == set(read)


def test_what_chooses_how_tests_run_is_on_the_page_and_nothing_else() -> None:
    read = {name for name in read_in("tests/**/*.py") if name.startswith(("CONFORMANCE_", "TANDEM_"))}
    assert set(page()["Tests"]) == read


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.environ.get('PLANTED')",
        "import os\nos.environ['PLANTED']",
        "import os\nos.getenv('PLANTED', 'x')",
        "NAME = 'PLANTED'\nfrom os import environ\nenviron.setdefault(NAME, '')",
        "def f(environment): return 'PLANTED' in environment",
        "timer(schedule='%PLANTED%')",
        "trigger(connection='PLANTED')",
        "app.number_setting('PLANTED', 14)",
    ],
)
def test_a_setting_that_is_read_is_found(code: str, tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(code)
    assert list(read_by(tmp_path / "planted.py")) == ["PLANTED"]
