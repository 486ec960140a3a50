"""`dev.py dead-letters` against a running system."""

from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage

from infra.local.dead_letters import _list, main
from infra.local.screen import console
from tests.e2e.api import eventually
from tests.integration.operations.dead_letters.conftest import FRAIL, SOUND, Bench


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which no cell is broken."""
    monkeypatch.setenv("COLUMNS", "250")


def ran(bench: Bench, *arguments: str) -> int:
    return main([*arguments, "--url", bench.url, "--token", bench.token])


def test_it_lists_replays_and_tells_what_became_of_each(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = bench.dead(2)
    assert ran(bench) == 0
    listed = capsys.readouterr().out
    assert f"{FRAIL} (frail): 2 MaxDeliveryCountExceeded" in listed
    assert f"{SOUND} (sound): none" in listed
    assert str(second.event_id) in listed

    replay_first = ("--subscription", "frail", "--replay", str(first.event_id))
    assert ran(bench, *replay_first) == 1
    assert "is broken" in capsys.readouterr().out
    bench.breaks_on()
    assert ran(bench, *replay_first, "--dry-run") == 0
    assert "chosen" in capsys.readouterr().out
    assert ran(bench, *replay_first) == 0
    assert ran(bench, "--subscription", "frail", "--replay", "another reason") == 0
    assert bench.taken_in([first, second], "frail") == [1]
    assert ran(bench, "--subscription", "frail", "--replay", "all") == 0
    assert bench.taken_in([first, second], "frail") == [1, 2]


def test_a_subscription_that_cannot_be_read_is_not_said_to_have_none(capsys: pytest.CaptureFixture[str]) -> None:
    nothing: dict[str, Any] = {"reasons": [], "items": [], "next": None, "consumer": "frail"}
    closed = nothing | {"subscription": "t/closed", "closed": "it is disabled", "unanswered": False}
    silent = nothing | {"subscription": "t/silent", "closed": None, "unanswered": True}
    assert _list({"subscriptions": [closed, silent]}, console()) == 1
    assert capsys.readouterr().out.splitlines() == [
        "t/closed (frail): cannot be read: it is disabled",
        "t/silent (frail): cannot be read: Service Bus does not answer for it",
    ]
    assert [_list({"subscriptions": [each]}, console()) for each in (closed, silent)] == [1, 1]
    assert (
        _list({"subscriptions": [nothing | {"subscription": "t/none", "closed": None, "unanswered": False}]}, console())
        == 0
    )


def test_it_discards_what_is_named(bench: Bench) -> None:
    [envelope] = bench.dead()
    [item] = bench.listed(envelope.aggregate_id)
    arguments = ("--subscription", FRAIL, "--discard", str(item["sequenceNumber"]), "--why", "no longer wanted")
    assert ran(bench, *arguments) == 0
    assert bench.listing()["count"] == 0
    assert ran(bench, *arguments) == 1


def test_what_a_message_says_is_shown_and_not_obeyed(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J [/bar] [bold red]"
    bench.send(ServiceBusMessage(f"{hostile}\n     7  forged", message_id=f"[/bar]{hostile}", session_id="s"))
    eventually(lambda: bench.listing()["items"], "Service Bus gives up")
    assert ran(bench) == 0
    listed = capsys.readouterr().out
    assert r"\x1b]0;owned\x07\x1b[2J [/bar] [bold red]\n     7  forged" in listed
    number = str(bench.listing()["items"][0]["sequenceNumber"])
    assert ran(bench, "--subscription", FRAIL, "--discard", number, "--why", "hostile") == 0
    discarded = capsys.readouterr().out
    assert r"[/bar]\x1b]0;owned\x07" in discarded
    assert "\x1b" not in listed + discarded
    assert bench.listing()["count"] == 0


def test_a_refusal_is_told_with_all_that_is_wrong(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(bench, "--subscription", "nobody's", "--discard", "0", "--why", " ") == 1
    said = capsys.readouterr().err
    assert f"subscription: should be one of {FRAIL}, frail" in said
    assert "why: should not be blank" in said


@pytest.mark.parametrize("arguments", [["--replay", "all"], ["--subscription", "s", "--discard", "1"], ["--url", "x"]])
def test_half_a_command_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
