"""What the subscriptions of a system gave up on; replay it into the one that gave it up, or throw it away.

Without --replay or --discard, lists. Replaying twice does no harm; docs/operations.md tells what the results mean.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
from rich.console import Console
from rich.table import Table

from infra.local.ops import RefusedError, add_where, answered, ops_client
from infra.local.screen import command, complain, console, one_line

ALL = "all"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it; 0 if it was done, 1 if something was not, or if nothing runs."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.replay or options.discard) and not options.subscription:
        parser.error("which --subscription?")
    if bool(options.discard) != bool(options.why):
        parser.error("--discard and --why go together")
    screen = console()
    try:
        with ops_client(parser, options) as http:
            if options.replay or options.discard:
                return _settle(http, options, screen)
            subscription = {"subscription": options.subscription} if options.subscription else {}
            return _list(answered(http.get("/dead-letters", params=subscription)), screen)
    except RefusedError as error:
        complain(error)
        return 1


def _list(found: dict[str, Any], screen: Console) -> int:
    """Print them; 1 if not all can be read."""
    for each in found["subscriptions"]:
        reasons = ", ".join(f"{reason['count']} {one_line(reason['reason'])}" for reason in each["reasons"])
        why = each["closed"] or ("Service Bus does not answer for it" if each["unanswered"] else None)
        said = f"cannot be read: {why}" if why else reasons or "none"
        screen.print(f"{each['subscription']} ({each['consumer']}): {said}", soft_wrap=True)
        if not each["items"]:
            continue
        for item in each["items"]:
            event = item["event"]
            about = f"{event['type']}, version {event['version']} of {event['aggregateId']}" if event else item["text"]
            reason, about, message = map(one_line, (item["reason"], about, item["messageId"]))
            screen.print(
                f"{item['sequenceNumber']:>6}  {reason}, {item['deliveries']} deliveries, {item['age']} s old\n"
                f"        {about}\n        message {message}",
                soft_wrap=True,
            )
        if each["next"]:
            screen.print(f"and {each['count'] - len(each['items'])} more, or yet more")
    return int(any(each["closed"] or each["unanswered"] for each in found["subscriptions"]))


def _settle(http: httpx.Client, options: argparse.Namespace, screen: Console) -> int:
    """Do it call by call, as long as there is more and it gets on."""
    what = "discard" if options.discard else "replay"
    body = {"subscription": options.subscription, "dryRun": options.dry_run, **_which(options)}
    table, undone, after = Table("number", "message", "result", "detail"), 0, 0
    while True:
        answer = answered(http.post(f"/dead-letters/{what}", json=body))
        for item in answer["items"]:
            table.add_row(*(one_line(item[name] or "") for name in ("sequenceNumber", "messageId", "result", "detail")))
            undone += item["result"] not in {"replayed", "discarded", "chosen"}
        if options.discard or not answer["next"] or answer["next"] <= after:
            break
        body["after"] = after = answer["next"]
    screen.print(table)
    return 1 if undone else 0


def _which(options: argparse.Namespace) -> dict[str, Any]:
    if options.discard:
        return {"messages": _keys(options.discard), "why": options.why}
    if options.replay == ALL:
        return {}
    keys = _keys(options.replay)
    return (
        {"messages": keys} if all(isinstance(key, int) or _is_uuid(key) for key in keys) else {"reason": options.replay}
    )


def _keys(text: str) -> list[int | str]:
    return [int(key) if key.isdecimal() else key for key in text.split(",") if key]


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dev.py dead-letters", description=__doc__)
    parser.add_argument("--subscription", metavar="TOPIC/NAME", help="which one; its trigger's name will do as well")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--replay", metavar="WHICH", help=f"event ids or numbers A,B, or a reason, or `{ALL}`")
    action.add_argument("--discard", metavar="A,B", help="throw these away for good; needs --why")
    parser.add_argument("--why", help="is kept in the record of who did what")
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    add_where(parser)
    return parser


if __name__ == "__main__":
    sys.exit(command(main))
