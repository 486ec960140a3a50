"""Times of messages, as the worker reads them."""

import subprocess
import sys

TRIED_AND_COMPILED = """
import _strptime
from azure.functions.meta import _BaseConverter
from shared.frame.platform.time_formats import keep_time_formats

{first}
compiled, compile = [], _strptime.TimeRE.compile
_strptime.TimeRE.compile = lambda self, format: compiled.append(format) or compile(self, format)
for _ in range(10):
    _BaseConverter._parse_datetime("2026-11-29T01:04:05.123")
    _BaseConverter._parse_datetime("9999-12-31T23:59:59.9999999")
print(len(compiled), len(set(compiled)))
"""


def _compiled(first: str) -> tuple[int, int]:
    """How often formats were compiled for twenty times as the host writes them, and how many formats there are."""
    program = TRIED_AND_COMPILED.format(first=first)
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    often, formats = map(int, said.split())
    return often, formats


def test_the_formats_that_the_worker_tries_are_compiled_once() -> None:
    often, formats = _compiled("keep_time_formats()")

    assert often == formats > 6  # as many as Python keeps: else nothing would be gained


def test_without_room_they_are_compiled_for_each_message() -> None:
    """Once this fails, the module has nothing left to do."""
    often, formats = _compiled("")

    assert often > 5 * formats


READ_TWICE = """
from azure.functions import meta
from shared.frame.platform.time_formats import remember_times

tried = []
try_formats = meta.try_parse_datetime_with_formats
meta.try_parse_datetime_with_formats = lambda text, formats: tried.append(text) or try_formats(text, formats)
times = ["2026-11-29T01:04:05.123", "2026-11-29T01:04:05.1234567Z", "2026-11-29T01:04:05+00:00", "", None]
read = [meta._BaseConverter._parse_datetime(time) for time in times]
remember_times()
assert [meta._BaseConverter._parse_datetime(time) for time in times] == read
tried.clear()
assert [meta._BaseConverter._parse_datetime(time) for time in times] == read
for _ in range(2):
    try:
        meta._BaseConverter._parse_datetime("no time")
    except ValueError:
        continue
    raise AssertionError("the library refuses it")
print(*tried, sep=",")
"""


def test_a_time_is_read_once_and_as_the_library_reads_it() -> None:
    said = subprocess.run([sys.executable, "-c", READ_TWICE], check=True, capture_output=True, text=True).stdout
    assert set(said.strip().split(",")) == {"no time"}
