"""What the timers of the app do, by name."""

from typing import Protocol

from shared.frame.platform.jobs import Job, Work, is_async


class HasJobs(Protocol):
    """A context, or the routes of one."""

    @property
    def jobs(self) -> list[Job]:
        """What it does from time to time."""


def job(of: HasJobs, name: str) -> Work:
    """Its work of that name."""
    [work] = [each.work for each in of.jobs if each.name == name]
    return work


async def do(of: HasJobs, name: str) -> None:
    """Do its work of that name, which is async."""
    work = job(of, name)
    assert is_async(work)
    await work()
