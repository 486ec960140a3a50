"""`python3 dev.py simulate`: run many simulated shops, or one again."""

import argparse
import itertools
import logging
import sys
from collections import Counter

from rich.console import Console
from rich.progress import track

from infra.local.screen import command
from tests.simulation.run import FAULT_RATE, simulate, simulate_all


def main() -> int:
    """Run them; 1 if something was broken."""
    parser = argparse.ArgumentParser(prog="dev.py simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="how many shops (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (%(default)s)")
    parser.add_argument("--seed", type=int, help="run this one alone, with the system's log")
    parser.add_argument("--faults", type=float, default=FAULT_RATE, help="chance of each possible fault (%(default)s)")
    options = parser.parse_args()
    if options.seed is not None:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
        outcomes = iter([simulate(options.seed, options.faults)])
        seeds = 1
    else:
        seeds = options.seeds
        outcomes = simulate_all(range(options.first, options.first + seeds), options.faults)
    faults: Counter[str] = Counter()
    accepted = 0
    wrong = []
    console = Console(stderr=True)
    for outcome in track(outcomes, "shops", total=seeds, console=console):
        faults.update(outcome.faults)
        accepted += outcome.accepted
        if outcome.wrong:
            wrong.append(outcome)
            print(outcome, flush=True)
    print(f"{seeds} shops, {accepted} commands accepted, {faults.total()} faults:")
    for kinds in itertools.batched(faults.most_common(), 4, strict=False):
        print("  " + ", ".join(f"{times} {kind}" for kind, times in kinds))
    print(f"{len(wrong)} broken" if wrong else "Every promise was kept.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(command(main))
