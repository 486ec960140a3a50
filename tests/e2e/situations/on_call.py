"""An operator on call, who goes through a section of docs/operations.md."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.e2e.api import Api, eventually
from tests.support.pages import Section, sections
from tests.support.stack import ROOT, Stack

PAGE = {section.heading: section for section in sections((ROOT / "docs" / "operations.md").read_text(encoding="utf-8"))}


@dataclass
class Operator:
    """Somebody who goes through a section, block by block."""

    stack: Stack
    api: Api
    section: Section
    done: int = 0

    def next(self, code: int = 0, /, **names: str) -> list[Any]:
        """Run the next block, with these names replaced, to this exit code; what each of its requests answered."""
        _, functions, *_ = PAGE["How to call"].blocks("sh")
        login = f"api={self.stack.base_url}/api token={self.stack.token('Ops', 'Orders.Read')}\n"
        login += f"keeper={self.stack.token('Catalog.Read', 'Inventory.Write')}\n"
        script = "set -euo pipefail\n" + login + functions + self.section.blocks("sh")[self.done]
        self.done += 1
        script = script.replace("http://127.0.0.1:7071", self.stack.base_url)
        script = script.replace(
            "python3 dev.py token", f"{sys.executable} -m infra.local.tokens --data {self.stack.data}"
        )
        for name, value in names.items():
            script = script.replace(name, value)
        ran = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
        assert ran.returncode == code, script + ran.stdout + ran.stderr
        return values(ran.stdout)

    def until(self, is_so: Callable[[list[Any]], object], **names: str) -> None:
        """Run the next block again and again, as an operator does who waits for something."""
        here = self.done

        def look() -> object:
            self.done = here
            return is_so(self.next(**names))

        eventually(look, f"what block {here + 1} of {self.section.heading} is to show", 90.0)


def values(text: str) -> list[Any]:
    """The JSON values that stand one after the other in a text."""
    found, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def differing(status: dict[str, Any]) -> dict[str, str]:
    """What the last check found, by document."""
    return {found["documentId"]: found["what"] for found in status["drift"]["differences"]}
