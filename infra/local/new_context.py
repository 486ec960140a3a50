"""`python3 dev.py new context NAME` makes a bounded context that runs: what is in templates/context, and its places.

It has an aggregate with a name, two commands, their events with golden files, a document, a query, a migration, a
topic, a container and tests. What it writes into files that are there already is listed in `entries`; nothing is
written unless all of these have their place.
"""

import argparse
import ast
import builtins
import json
import keyword
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy.dialects.mssql.base import RESERVED_WORDS

from infra.functions import functions
from infra.local.screen import complain, console

ROOT = Path(__file__).parents[2]
TEMPLATES = Path(__file__).parent / "templates" / "context"
MIGRATIONS = Path("infra/sql/migrations/versions")

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST = 30
"""Characters of a name; a cursor has place for no more (POSITION in shared/frame/write_side/owner_data.py)."""

_OF_PYTHON = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins)}
_OF_SQL = RESERVED_WORDS | {"dbo", "sys", "guest"}
"""Reserved words of T-SQL, and schemas that every database has."""

NEXT = """\
{name} is a context now. Try it:

  python3 dev.py test tests/unit/{name} tests/integration/{name}
  python3 dev.py up        # then POST /api/{dashed} {{"name": "The first"}}, with: python3 dev.py token
  python3 dev.py check

Then:
  1. Say what it is: shared/{name}/domain/{noun}.py, its events, and the golden files in tests/unit/{name}/golden.
     May it be a person's? Mark it (docs/privacy.md), and take it out of tests/unit/platform/test_personal_fields.py.
  2. Each request has a row in tests/e2e/test_conditions.py and tests/support/every_command.py: add
     rows for POST {dashed} and POST {dashed}/{{{camel}Id}}/rename, and for GET {dashed}/{{{camel}Id}}.
  3. python3 dev.py snapshot writes down what the deployment gets: a topic, a subscription, two containers, and in prod
     two instances that are always ready; then python -m infra.cost --write, what that costs. Commit both.
  4. python3 dev.py simulate sends what tests/integration/{name}/clients.py says, under faults: add what you add here.
  5. docs/extending.md lists the files of a command, a view, a follower and timed work, and what tests them.
"""


class NotPossible(Exception):
    """The context cannot be made; the message says why, and nothing was written."""


@dataclass(frozen=True, slots=True)
class Named:
    """The names of the context and of its aggregate, in every spelling."""

    name: str
    noun: str

    def __post_init__(self) -> None:
        for word in (self.name, self.noun):
            if not _NAME.fullmatch(word):
                raise NotPossible(f"{word!r} is no name: small letters and digits, with _ between words")
            if len(word) > LONGEST:
                raise NotPossible(f"{word!r} is longer than {LONGEST} characters")
            if word in _OF_PYTHON:
                raise NotPossible(f"{word!r} means something in Python")
        if self.name in _OF_SQL:
            raise NotPossible(f"{self.name!r} means something in T-SQL, and would be a schema's name")
        if self.name == self.noun:
            raise NotPossible("the context needs another name than one of its things: suppliers, --one supplier")

    def spellings(self) -> dict[str, str]:
        """Give the names by the templates' variables."""
        words, one = self.name.split("_"), self.noun.split("_")
        vowel = self.noun[0] in "aeiou"
        return {
            "name": self.name,
            "Name": "".join(word.capitalize() for word in words),
            "NAME": self.name.upper(),
            "name_words": " ".join(words),
            "Name_words": " ".join(words).capitalize(),
            "name_dashed": "-".join(words),
            "noun": self.noun,
            "Noun": "".join(word.capitalize() for word in one),
            "noun_words": " ".join(one),
            "noun_dashed": "-".join(one),
            "noun_camel": one[0] + "".join(word.capitalize() for word in one[1:]),
            "a": "an" if vowel else "a",
            "A": "An" if vowel else "A",
            "example_id": "0f8c2f5e-3b7a-4c1d-9e64-2a5b7d90c0ff",
        }


@dataclass(frozen=True, slots=True)
class Entry:
    r"""A change of an existing file.

    Attributes:
        anchor: a pattern that the file has exactly once.
        text: replaces it; \g<0> is the replaced text.
    """

    path: str
    anchor: str
    text: str


def entries(words: dict[str, str]) -> Sequence[Entry]:
    """List the entries that a context needs in shared files."""
    name, noun, upper = words["name"], words["noun"], words["NAME"]
    dashed, one, camel, title = words["name_dashed"], words["noun_dashed"], words["noun_camel"], words["Name"]
    policy = (
        '"indexingPolicy": { "indexingMode": "consistent", '
        '"includedPaths": [{ "path": "/view/?" }], "excludedPaths": [{ "path": "/*" }] }'
    )
    containers = "".join(
        f'    {{ "id": "{dashed}{more}", "partitionKey": "/view", {policy} }},\n' for more in ("", "-2")
    )
    once = '"RequiresDuplicateDetection": true, "DuplicateDetectionHistoryTimeWindow": "PT5M"'
    kept = (
        '"RequiresSession": false, "LockDuration": "PT1M", "MaxDeliveryCount": 10, '
        '"DeadLetteringOnMessageExpiration": true'
    )
    topic = f"""
          {{
            "Name": "{one}-events",
            "Properties": {{ {once} }},
            "Subscriptions": [
              {{ "Name": "{one}-views", "Properties": {{ {kept} }}, "Rules": [] }}
            ]
          }},"""
    roles = "".join(
        f'  {{"value": "{title}.{right}", "displayName": "{title}.{right}", '
        f'"description": "{does} {words["name_words"]}", '
        f'"allowedMemberTypes": ["User", "Application"], "id": "{uuid4()}", "isEnabled": true}},\n'
        for right, does in (("Write", "Add and rename"), ("Read", "See"))
    )
    domain = f"""[[tool.importlinter.contracts]]
id = "{dashed}-domain"
name = "the domain of {words["name_words"]} knows the kernel, its own events and the standard library"
type = "only"
modules = ["shared.{name}.domain"]
may_import = ["shared.kernel", "shared.{name}.events"]

"""
    path = f"{dashed}/{{{camel}Id}}"
    rows = f"""\
| `POST /{dashed}` {{{camel}Id?, name}} | 201 {{{camel}Id}} |
| `POST /{path}/rename` {{name}} | 204 |
| `GET /{path}` | 200, 404 |
"""
    rights = f"""\
    "POST {dashed}": Right("{title}.Write"),
    "POST {path}/rename": Right("{title}.Write"),
    "GET {path}": Right("{title}.Read"),
"""
    personal = f"""\
    "of {words["a"]} {words["noun_words"]}": \"\"\"
        Add{words["Noun"]}.name
        Rename{words["Noun"]}.name
        {words["Noun"]}AddedV1.name
        {words["Noun"]}RenamedV1.name
        \"\"\",
"""
    importing = f"from shared.{name} import tables as {name}\n"
    return [
        Entry(
            "shared/contexts.py",
            r"from shared\.ordering\.functions import ordering\n",
            rf"\g<0>from shared.{name}.functions import {name}\n",
        ),
        Entry("shared/contexts.py", r"(?m)^CONTEXTS = \(([^)]*?),?\)", rf"CONTEXTS = (\1, {name})"),
        Entry(
            "shared/roles.py",
            r"    OPS = ",
            rf'    {upper}_WRITE = "{title}.Write"\n    {upper}_READ = "{title}.Read"\n\g<0>',
        ),
        Entry("infra/app-roles.json", r'  \{"value": "Ops"', roles + r"\g<0>"),
        Entry("infra/sql/migrate.py", r"from shared\.customers import tables as customers\n", r"\g<0>" + importing),
        Entry("infra/sql/migrate.py", r"(?m)^CONTEXTS = \(([^)]*?),?\)", rf"CONTEXTS = (\1, {name})"),
        Entry(
            "infra/sql/access.py",
            r'    "operations\.audit": ',
            rf'    "{name}.event_log": _LOG,\n    "{name}.{name}": "SELECT, INSERT, UPDATE",\n\g<0>',
        ),
        Entry("infra/sql/access.py", r'\}\n"""What projections need', rf'    "{name}.event_log": "SELECT",\n\g<0>'),
        Entry("infra/local/cosmos.json", r'    \{\s*"id": "operations"', containers + r"\g<0>"),
        Entry("infra/local/servicebus.json", r'"Topics": \[', r"\g<0>" + topic),
        Entry(
            "infra/prod.bicepparam",
            r"    \{ name: 'function:relay_events',",
            rf"    {{ name: 'function:project_{noun}', instanceCount: 2 }}\n\g<0>",
        ),
        Entry("pyproject.toml", r'(?m)^\[\[tool\.importlinter\.contracts\]\]\nid = "events"\n', domain + r"\g<0>"),
        Entry(
            "tests/architecture/test_imports.py",
            r'    \("kernel", "shared/kernel/money\.py"',
            rf'    ("{dashed}-domain", "shared/{name}/domain/{noun}.py", "import pydantic"),\n\g<0>',
        ),
        Entry(
            "tests/unit/messaging/test_published_events.py",
            r"from shared\.customers import tables as customers\n",
            r"\g<0>" + importing,
        ),
        Entry(
            "tests/unit/messaging/test_published_events.py",
            r'    "customers": customers\.CODEC,\n',
            rf'\g<0>    "{name}": {name}.CODEC,\n',
        ),
        Entry(
            "tests/simulation/contexts.py",
            r"from tests\.kit\.simulated import Simulated\n",
            rf"from tests.integration.{name}.clients import {upper}\n\g<0>",
        ),
        Entry("tests/simulation/contexts.py", r"(?m)^(SIMULATED: .* = \([^)]*)\)", rf"\1{upper},)"),
        Entry(
            "tests/unit/platform/test_personal_fields.py",
            r'\}\n"""Fields that say nothing of a person',
            personal + r"\g<0>",
        ),
        Entry(
            "tests/mutation/areas.py",
            r'    "http": Area\(',
            rf'    "{name}": Area(("shared/{name}/domain/*",), ("tests/unit/{name}",)),\n\g<0>',
        ),
        Entry(".github/workflows/nightly.yml", r"(?<=area: \[).*(?=http,)", rf"\g<0>{name}, "),
        Entry("azure-pipelines-nightly.yml", r"        http: \{ area", rf"        {name}: {{ area: {name} }}\n\g<0>"),
        Entry("docs/api.md", r"(?m)^\| `GET /ops/projections`", rows + r"\g<0>"),
        Entry("tests/support/rights.py", r'    "GET ops/projections": ', rights + r"\g<0>"),
    ]


def everywhere(words: dict[str, str]) -> Sequence[tuple[str, str, str]]:
    """List the replacements in files that name every context."""
    return [
        ("pyproject.toml", f'"shared.customers{part}"', f'"shared.customers{part}", "shared.{words["name"]}{part}"')
        for part in ("", ".events")
    ]


def new_context(root: Path, named: Named) -> Sequence[Path]:
    """Make the context in a repository, and name the files that were written or changed.

    Raises:
        NotPossible: a part of it exists already, or a file has no place for its entry.
    """
    words = named.spellings() | _next_revision(root)
    made = {root / place: content for place, content in _rendered(words)}
    if taken := [*_files_there(root, named), *_public_names_there(root, words), *_names_there(root, words, made)]:
        raise NotPossible(f"{named.name} and {named.noun} cannot be made: {', '.join(taken)}")
    changed: dict[Path, str] = {}
    for entry in entries(words):
        path = root / entry.path
        text = changed.get(path) or path.read_text(encoding="utf-8")
        new, count = re.subn(entry.anchor, entry.text, text)
        if count != 1:
            raise NotPossible(f"{entry.path} has {count} places like {entry.anchor}, and should have one")
        changed[path] = new
    for file, text, new in everywhere(words):
        changed[root / file] = changed[root / file].replace(text, new)
    for path, content in (changed | made).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    paths = [*changed, *made]
    _formatted(root, [path for path in paths if path.suffix == ".py"])
    return paths


def _files_there(root: Path, named: Named) -> Iterator[str]:
    """Name its folders that exist already, or a module of the same name."""
    for place in ("shared/{}", "shared/{}.py", "tests/unit/{}", "tests/integration/{}"):
        if (root / (path := place.format(named.name))).exists():
            yield f"{path} is there already"


def _public_names_there(root: Path, words: dict[str, str]) -> Iterator[str]:
    """Give those of its names in Azure and in the API that are taken.

    Raises:
        NotPossible: the app cannot be imported.
    """
    dashed, noun = words["name_dashed"], words["noun"]
    topics = json.loads((root / "infra/local/servicebus.json").read_text(encoding="utf-8"))
    containers = json.loads((root / "infra/local/cosmos.json").read_text(encoding="utf-8"))["containers"]
    try:
        triggers = functions(root)
    except subprocess.CalledProcessError as error:
        raise NotPossible("the app cannot be imported, as is told above") from error
    roles = (root / "shared/roles.py").read_text(encoding="utf-8")
    names = {
        *(f"the topic {topic['Name']}" for each in topics["UserConfig"]["Namespaces"] for topic in each["Topics"]),
        *(f"the container {container['id']}" for container in containers),
        *(f"the function {name}" for name in triggers),
        *(f"the role {name}" for name in re.findall(r'"([\w.]+)"', roles)),
        *(f"the path /{each['route'].partition('/')[0]}" for each in triggers.values() if "route" in each),
    }
    for name in (
        f"the topic {words['noun_dashed']}-events",
        *(f"the container {dashed}{more}" for more in ("", "-2")),
        *(f"the function {each}" for each in (f"post_{noun}", f"post_{noun}_rename", f"get_{noun}", f"project_{noun}")),
        *(f"the role {words['Name']}.{right}" for right in ("Write", "Read")),
        f"the path /{dashed}",
    ):
        if name in names:
            yield f"{name} is there already"


def _names_there(root: Path, words: dict[str, str], made: dict[Path, str]) -> Iterator[str]:
    """Give those of its classes that another context has, and those of its names that the templates use otherwise."""
    classes = {
        name
        for path in (root / "shared").rglob("*.py")
        for name in re.findall(r"(?m)^class (\w+)", path.read_text(encoding="utf-8"))
    }
    for path, text in made.items():
        if path.suffix == ".py":
            for each in ast.parse(text).body:
                if isinstance(each, ast.ClassDef) and each.name in classes:
                    yield f"the class {each.name} is there already"
    used = _words_of_templates()
    for word in dict.fromkeys(words[spelling] for spelling in ("name", "noun", "Name", "Noun")):
        if word in used:
            yield f"the templates use {word} in another sense"


def _words_of_templates() -> set[str]:
    """Collect the names in the templates' Python that do not follow from what is asked for."""
    spelled = Named("zzzs", "zzz").spellings() | {"revision": "", "down_revision": ""}
    found: set[str] = set()
    for path, text in _rendered(spelled):
        for node in ast.walk(ast.parse(text)) if path.suffix == ".py" else ():
            match node:
                case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                    found.add(name)
                case _:
                    pass
    return {name for name in found if "zzz" not in name.lower()}


def _next_revision(root: Path) -> dict[str, str]:
    last = max(path.name[:4] for path in (root / MIGRATIONS).glob("[0-9]*.py"))
    return {"down_revision": last, "revision": f"{int(last) + 1:04}"}


def _rendered(words: dict[str, str]) -> Iterator[tuple[Path, str]]:
    environment = Environment(  # noqa: S701  # what it writes is Python and JSON, not HTML
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True
    )
    places: dict[str, Callable[[str], str]] = {
        "shared": lambda rest: f"shared/{words['name']}/{rest}",
        "tests": lambda rest: "tests/{}/{}/{}".format(rest.partition("/")[0], words["name"], rest.partition("/")[2]),
    }
    for template in environment.list_templates():
        file = template.removesuffix(".jinja")
        for key in ("name", "noun", "Noun"):
            file = file.replace(f"[[{key}]]", words[key])
        folder, _, rest = file.partition("/")
        if file == "migration.py":
            place = f"{MIGRATIONS}/{words['revision']}_{words['name']}.py"
        else:
            place = places[folder](rest)
        yield Path(place), environment.get_template(template).render(words)


def _formatted(root: Path, paths: Sequence[Path]) -> None:
    """Sort imports and break lines, which depend on how long the names are."""
    files = [str(path) for path in paths]
    for command in (["check", "--quiet", "--select", "I", "--fix"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, *files], cwd=root, check=True)


def main(arguments: Sequence[str]) -> int:
    """Make it, and say what to do next."""
    parser = argparse.ArgumentParser(prog="python3 dev.py new", description="Make something new.")
    kinds = parser.add_subparsers(required=True, dest="kind")
    context = kinds.add_parser("context", help="a bounded context that runs and passes its tests")
    context.add_argument("name", help="in the plural, such as suppliers")
    context.add_argument("--one", help="one of its things, such as supplier; by default the name without its last s")
    asked = parser.parse_args(arguments)
    try:
        named = Named(asked.name, asked.one or asked.name.removesuffix("s"))
        paths = new_context(ROOT, named)
    except NotPossible as error:
        complain(f"dev.py new: {error}.")
        return 1
    say = console()
    for path in sorted(paths):
        say.print(f"  {path.relative_to(ROOT)}", soft_wrap=True)
    words = named.spellings()
    dashed, camel = words["name_dashed"], words["noun_camel"]
    say.print("\n" + NEXT.format(name=named.name, noun=named.noun, dashed=dashed, camel=camel), soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
