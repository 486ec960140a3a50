"""How fast it is, as ratios that hold on any machine: `python3 dev.py bench`.

Everything is measured side by side with what bounds it, or with what a user would pick instead, in rounds that take
turns. docs/performance.md says what each figure means. A goal that is not kept is said so; the exit code is 0 all the
same, because no figure is a test.
"""

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvicorn.loops.auto
from rich.console import Console

from infra.local.screen import command
from tests.bench import against_crud, against_eventsourcing, bare, growth, lag, round_trips, start, stock, under_latency
from tests.bench.place import Place, open_place
from tests.bench.rows import Row, markdown, table
from tests.bench.sizes import FULL, QUICK, SMOKE, Sizes

SECTIONS: dict[str, Callable[[Place, Sizes], Awaitable[list[Row]]]] = {
    "bare": bare.measure,
    "round-trips": round_trips.measure,
    "under-latency": under_latency.measure,
    "against-crud": against_crud.measure,
    "against-eventsourcing": against_eventsourcing.measure,
    "growth": growth.measure,
    "lag": lag.measure,
    "start": start.measure,
    "stock": stock.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # a function app's clients are never closed
    sizes = SMOKE if options.smoke else QUICK if options.quick else FULL
    console, progress = Console(highlight=False), Console(stderr=True, highlight=False)
    with asyncio.Runner(loop_factory=uvicorn.loops.auto.auto_loop_factory()) as runner:  # the worker's loop
        rows = runner.run(_measure(options.only or list(SECTIONS), sizes, progress))
    if options.markdown:
        print(markdown(rows), end="")  # noqa: T201  # as it is, for a file
    else:
        console.print(table(rows))
    if options.json:
        text = json.dumps([row.as_json() for row in rows], indent=2, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


async def _measure(sections: Sequence[str], sizes: Sizes, progress: Console) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
        async with open_place(Path(folder)) as place:
            for section in sections:
                begin = time.monotonic()
                rows += await SECTIONS[section](place, sizes)
                progress.print(f"{section}: {time.monotonic() - begin:.0f} s")
    return rows


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small sizes: under five minutes")
    size.add_argument("--smoke", action="store_true", help="hardly anything: only that it runs")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="one section; may be given again")
    parser.add_argument("--markdown", action="store_true", help="print the tables as docs/performance.md has them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    return parser


if __name__ == "__main__":
    sys.exit(command(main))
