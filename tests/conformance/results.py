"""What each table of checks said: results/ENGINE-SDK.json, of which the tables in docs/engines.md are made.

A run that finds something else fails, and says how to write it down; test_page.py fails where the page is stale.
"""

import ast
import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support.tools import ROOT

PAGE: Final = ROOT / "docs" / "engines.md"
WRITE: Final = os.environ.get("TANDEM_WRITE_CONFORMANCE") == "1"
HOW: Final = (
    "If that is meant: TANDEM_WRITE_CONFORMANCE=1 python3 dev.py test tests/conformance -n0; read what changed."
)
SDKS: Final = {"python": "Python", "dotnet": ".NET", "javascript": "JavaScript"}
ENGINES: Final = {"cosmos": "Cosmos DB", "servicebus": "Service Bus"}

FEATURES: Final = {
    "cosmos": {
        "account, databases, containers": r"account|databases?|db|containers?|throughput|offers?$|sync client",
        "items and ETags": r"items?|id|bad|pk|partition|numbers|process|25 increments|\d+ (clients|tasks)|large|dates",
        "patch": r"patch",
        "batch and bulk": r"batch|bulk|executeBulkOperations",
        "queries and pages": r"quer(y|ies)|across|query1|queryX|linq1|paging|read all|readmany",
        "change feed, feed ranges": r"change ?feed|feedranges|conflicts",
        "time to live": r"ttl|expiry",
        "sessions, consistency, keys, modes": r"session|consistency|wrong key|direct|gateway|discovery",
        "restart": r"restart",
        "code in the service, users": r"sproc|stored procedure|trigger|user",
    },
    "servicebus": {
        "sending, properties, duplicates, schedules": r"send(?!.*TransactionScope)",
        "locks, dead letters, deferral, time to live": r"deliver|dead-letter|abandon|defer|lock|ttl|receive",
        "sessions": r"sessions?",
        "topics and rules": r"topics?|rules",
        "processors": r"processors?",
        "many clients, broken clients, restarts": r"robustness|crowd",
        "transactions": r"send.*TransactionScope",
    },
}
"""By feature, how the names of its checks begin; the first that fits has it. For Python's, how its file is called."""


def compare(table: str, verdicts: Mapping[str, str], *, whole: bool = True) -> None:
    """Compare what checks said with what is written down of their table, or write it down.

    Args:
        table: ENGINE-SDK.
        verdicts: works or refused, by the name of the check.
        whole: these are all checks of the table.

    Raises:
        AssertionError: a check says something else.
    """
    known = written(table)
    if WRITE:
        kept = {} if whole else known
        text = json.dumps(dict(sorted({**kept, **verdicts}.items())), indent=1, ensure_ascii=False)
        _file(table).write_text(text + "\n", encoding="utf-8")
        return
    expected = known if whole else {name: known.get(name) for name in verdicts}
    assert expected == dict(verdicts), f"{_file(table)} says something else. {HOW}"


def written(table: str) -> dict[str, str]:
    """What is written down of a table; for Python's, its tests, which a run shows to be green."""
    engine, _, sdk = table.partition("-")
    if sdk == "python":
        return _python(Path(__file__).with_name(engine))
    file = _file(table)
    verdicts: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return verdicts


def told(lines: str) -> dict[str, str]:
    """The verdicts in what the tables of Service Bus print: "PASS 1.0 s  NAME"."""
    found = re.findall(r"^(PASS|FAIL) +[\d.]+ s  (.+)$", lines, re.MULTILINE)
    return {name: "works" if verdict == "PASS" else "fails" for verdict, name in found}


def page() -> str:
    """The tables of docs/engines.md."""
    parts = []
    for engine, title in ENGINES.items():
        tables = {sdk: written(f"{engine}-{sdk}") for sdk in SDKS}
        parts += [f"### {title}", "", f"| | {' | '.join(SDKS.values())} |", f"|---|{'---|' * len(SDKS)}"]
        for feature in FEATURES[engine]:
            cells = [_cell(verdicts, engine, feature) for verdicts in tables.values()]
            parts.append(f"| {feature} | {' | '.join(cells)} |")
        totals = [_counts(Counter(verdicts.values())) for verdicts in tables.values()]
        parts += [f"| **all** | {' | '.join(totals)} |", ""]
        for sdk, verdicts in tables.items():
            for verdict in ("refused", "left out"):
                names = sorted(name for name, said in verdicts.items() if said == verdict)
                if names:
                    parts += [f"{verdict.capitalize()}, {SDKS[sdk]}: {', '.join(f'`{name}`' for name in names)}.", ""]
    return "\n".join(parts)


def feature_of(engine: str, check: str) -> str:
    """The feature that a check belongs to.

    Raises:
        LookupError: none; FEATURES has to name it.
    """
    for feature, beginning in FEATURES[engine].items():
        if re.match(beginning, check):
            return feature
    raise LookupError(f"{check!r} belongs to no feature of {engine}: see FEATURES.")


def _cell(verdicts: Mapping[str, str], engine: str, feature: str) -> str:
    return _counts(Counter(said for name, said in verdicts.items() if feature_of(engine, name) == feature))


def _counts(counted: Counter[str]) -> str:
    said = {"works": "works" if counted["works"] == 1 else "work", "refused": "refused", "left out": "left out"}
    return ", ".join(f"{counted[verdict]} {word}" for verdict, word in said.items() if counted[verdict]) or "-"


def _python(folder: Path) -> dict[str, str]:
    found = {}
    for file in sorted(folder.glob("test_*.py")):
        room = file.stem.removeprefix("test_").replace("_", " ")
        if room in ("dotnet", "javascript"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found[f"{room}: {node.name.removeprefix('test_').replace('_', ' ')}"] = "works"
    return found


def _file(table: str) -> Path:
    return Path(__file__).with_name("results") / f"{table}.json"
