"""`dev.py rebuild` as an operator has it: in a terminal, interrupted, refused, and to its end."""

import subprocess
import sys
from contextlib import closing

from tests.e2e.api import Api, eventually
from tests.integration.dev.test_terminal import Terminal
from tests.support.stack import ROOT, Stack, running_stack

COMMAND = (sys.executable, "-m", "infra.local.rebuild")


def ran(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "--data", str(stack.data), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)


def test_a_rebuild_outlives_ctrl_c_is_given_up_made_and_undone() -> None:
    with running_stack() as stack, Api(stack) as api:
        api.order(api.customer(), api.product())
        table = ran(stack)
        assert all(word in table.stdout for word in ("orders", "products", "never"))
        refused = ran(stack, "orders", "--roll-back")
        assert (refused.returncode, refused.stderr) == (1, "orders has generation 1 only.\n")
        assert "There is no view invoices" in ran(stack, "invoices").stderr

        with closing(Terminal(*COMMAND, "--data", str(stack.data), "orders")) as terminal, terminal.command:
            eventually(lambda: api.read("/ops/projections/orders")["rebuild"], "it has begun")
            terminal.press_ctrl_c()
            shown = terminal.read_until("gives it up")
            assert "Traceback" not in shown
            assert terminal.command.wait(30) == 130
        refused = ran(stack, "orders")
        assert refused.returncode == 1
        assert refused.stderr.startswith("orders is being rebuilt: ")
        assert "cancelled" in ran(stack, "orders", "--cancel").stdout

        made = ran(stack, "orders")
        assert made.returncode == 0, made.stderr
        steps = [line.partition(":")[0] for line in made.stdout.splitlines() if ": " in line]
        assert steps[:2] == ["retiring", "clearing"] or steps[:2] == ["retiring", "joining"]
        assert steps.index("joining") < steps.index("switching")
        serving = api.read("/ops/projections/orders")["serving"]
        assert f"Generation {serving} serves. 1 is kept up to date beside it" in made.stdout

        undone = ran(stack, "orders", "--roll-back")
        assert [line for line in undone.stdout.splitlines() if line.startswith("switching")]
        assert f"Generation 1 serves. {serving} is kept" in undone.stdout


def test_a_system_that_does_not_answer_is_told_of() -> None:
    ran_alone = subprocess.run(
        [*COMMAND, "--url", "http://127.0.0.1:9", "--token", "t"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran_alone.returncode == 1
    assert ran_alone.stderr.startswith("The system does not answer: ")
