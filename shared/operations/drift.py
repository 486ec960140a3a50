"""Drift: documents that are not what the event log makes them. Partitions are sampled, and what is found can be healed.

What is merely on its way differs for a moment too; so only what differs in the same way at a second look is reported.
"""

import asyncio
import math
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from shared.platform.background import with_pause
from shared.platform.control import ControlChanged, ControlDocument
from shared.platform.cosmos import ReadModels
from shared.platform.reading import Document
from shared.platform.times import utc_text
from shared.platform.views import Difference, View

SECOND_LOOK = 3.0
"""Seconds between the two looks."""

REPORTED = 100
"""Differences that are kept; the first ones are as good as all of them to see what is wrong."""


async def last_report(view: View, read_models: ReadModels) -> Document | None:
    """Give what the last check wrote: checkedAt, partitions (how many), differences."""
    return await ControlDocument(read_models, view.name, "drift").read()


async def check(
    view: View, read_models: ReadModels, partition_keys: Iterable[str], within: float = math.inf
) -> Sequence[Difference]:
    """Hold partitions, and those that are on the report, against the log; the report is what is found.

    Args:
        view: the view.
        read_models: where its report is.
        partition_keys: the partitions.
        within: seconds after which no other partition is begun; those on the report, and one more, always are.
    """
    report = await last_report(view, read_models)
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
    own = [difference._asdict() for difference in found]
    others: Sequence[Document] = ()
    while True:
        content = {
            "checkedAt": utc_text(datetime.now(UTC)),
            "partitions": len(partitions),
            "differences": [*own, *others][:REPORTED],
        }
        try:
            await ControlDocument(read_models, view.name, "drift").write(content, report["_etag"] if report else None)
        except ControlChanged:  # another check has written its report meanwhile: what it found elsewhere stays
            report = await last_report(view, read_models)
            found_by_it = report["differences"] if report else ()
            others = [each for each in found_by_it if each["partition_key"] not in partitions]
        else:
            return found


async def heal(view: View, read_models: ReadModels) -> Sequence[Difference]:
    """Make the reported partitions what the log makes them, in every generation; give what differs after that."""
    partitions = _reported(await last_report(view, read_models))
    for partition in partitions:
        for container in await view.generations.written():  # each time: a generation may be given up meanwhile
            await with_pause(view.source.heal(container, partition))
    return await check(view, read_models, ())


async def _differences(view: View, partition_key: str) -> Sequence[Difference]:
    served = await view.generations.served()
    return await with_pause(view.source.differences(served.container, partition_key))


def _reported(report: Document | None) -> Sequence[str]:
    differences = report["differences"] if report else ()
    return list(dict.fromkeys(difference["partition_key"] for difference in differences))
