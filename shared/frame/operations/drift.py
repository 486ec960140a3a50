"""Drift: documents that differ from what the event log makes of them. Checks sample partitions; healing repairs them.

A document whose event is on its way differs for a moment too. So a difference is reported only if a second look finds
the same one.
"""

import asyncio
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from shared.frame.platform.background import with_pause
from shared.frame.platform.times import utc_text
from shared.frame.read_side.comparing import Difference
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.read_side.read_model import View
from shared.frame.read_side.read_your_writes import Document
from shared.frame.read_side.shape import Shapes, UnreadableShape
from shared.frame.read_side.view_state import ControlChanged, ControlDocument

SECOND_LOOK = 3.0
"""Seconds between the two looks."""

REPORTED = 100
"""Differences that a report lists; it counts the others. The first ones are enough to see what is wrong."""


PARTITIONS = 250
"""Partitions with differences that a report keeps for healing and for the next check: as many as a check takes."""

SHAPES = Shapes(
    what="The report of differences from the log",
    today=2,  # shape 1 did not name its generation
    mend="Nothing: the next check writes it anew.",
)


@dataclass(frozen=True, slots=True)
class Report:
    """What the last check found.

    Attributes:
        generation: the generation that served at that time.
        checked: how many partitions it compared with the log.
        found: how many differences it found.
        differences: the first of these.
        wrong: the partitions with differences.
    """

    generation: int
    checked_at: str
    checked: int
    found: int
    differences: Sequence[Difference]
    wrong: Sequence[str]
    etag: str

    @classmethod
    def of(cls, document: Document) -> Self:
        """Read what a document says."""
        return cls(
            int(document["generation"]),
            str(document["checkedAt"]),
            int(document["checked"]),
            int(document["found"]),
            [Difference(**difference) for difference in document["differences"]],
            list(document["wrong"]),
            document["_etag"],
        )


async def last_report(view: View, cosmos: CosmosDatabase) -> Report | None:
    """Give what the last check found; None if there was none, or if its report cannot be read."""
    report, _ = await _latest(view, cosmos)
    return report


async def check(
    view: View, cosmos: CosmosDatabase, partition_keys: Iterable[str], within: float = math.inf
) -> Sequence[Difference]:
    """Compare these partitions, and those on the last report, with the log; write a new report.

    Args:
        view: the view.
        cosmos: where its report is.
        partition_keys: the partitions.
        within: seconds after which the check begins no other partition; it always takes those on the report, and one
        more.
    """
    report, etag = await _latest(view, cosmos)
    generation = (await view.generations.served()).generation
    until = time.monotonic() + within
    found: list[Difference] = []
    partitions: list[str] = []
    for partition in dict.fromkeys([*_reported(report), *partition_keys]):
        if len(partitions) > len(_reported(report)) and time.monotonic() > until:
            break
        partitions.append(partition)
        found += await _differences(view, partition)
    if found:
        await asyncio.sleep(SECOND_LOOK)
        again = {
            difference
            for partition in dict.fromkeys(each.partition_key for each in found)
            for difference in await _differences(view, partition)
        }
        found = [difference for difference in found if difference in again]
    control, before = _control(view, cosmos), report
    while True:
        others: Sequence[Difference] = ()
        if report is not None and report is not before and report.generation == generation:
            # another check has written its report meanwhile: keep what it found in other partitions
            others = [each for each in report.differences if each.partition_key not in partitions]
        told = [*found, *others]
        content = {
            "generation": generation,
            "checkedAt": utc_text(datetime.now(UTC)),
            "checked": len(partitions),
            "found": len(told),
            "differences": [difference._asdict() for difference in told[:REPORTED]],
            "wrong": list(dict.fromkeys(difference.partition_key for difference in told))[:PARTITIONS],
        }
        try:
            await control.write(content, etag)
        except ControlChanged:
            report, etag = await _latest(view, cosmos)
        else:
            return found


async def heal(view: View, cosmos: CosmosDatabase) -> Sequence[Difference]:
    """Make the reported partitions what the log makes them, in every generation; give what differs after that."""
    partitions = _reported(await last_report(view, cosmos))
    for partition in partitions:
        # each time: a generation may be given up meanwhile
        for container in await view.generations.containers_to_write():
            with view.generations.tolerate_missing(container):
                await with_pause(view.source.heal(container, partition))
    return await check(view, cosmos, ())


async def _latest(view: View, cosmos: CosmosDatabase) -> tuple[Report | None, str | None]:
    """Give the report, if it can be read, and the etag of what is stored: one that cannot be read is written over."""
    control = _control(view, cosmos)
    stored = await control.stored()
    if stored is None:
        return None, None
    try:
        return control.parsed(stored), str(stored["_etag"])
    except UnreadableShape:
        return None, str(stored["_etag"])


async def _differences(view: View, partition_key: str) -> Sequence[Difference]:
    served = await view.generations.served()
    return await with_pause(view.source.differences(served.container, partition_key))


def _reported(report: Report | None) -> Sequence[str]:
    return report.wrong if report else ()


def _control(view: View, cosmos: CosmosDatabase) -> ControlDocument[Report]:
    return ControlDocument(cosmos, view.name, "drift", SHAPES, Report.of)
