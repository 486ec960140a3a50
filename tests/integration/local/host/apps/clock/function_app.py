"""Timer functions that note their runs in the file named by RECORD."""

import json
import os
import time
from pathlib import Path

import azure.functions as func
from azure.functions.timer import TimerRequest

app = func.FunctionApp()


def _note(line: dict[str, object]) -> None:
    with Path(os.environ["RECORD"]).open("a") as record:
        record.write(json.dumps(line) + "\n")


@app.timer_trigger(schedule="%EVERY_SECOND%", arg_name="timer")
async def every_second(timer: TimerRequest) -> None:
    _note({"every_second": timer.schedule_status, "past_due": timer.past_due, "at": time.time()})


@app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer", run_on_startup=True)
async def at_start(timer: TimerRequest) -> None:
    _note({"at_start": timer.schedule})


@app.timer_trigger(schedule="12:00:00", arg_name="timer")
def by_hand(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- the trigger needs the parameter
    """Run until the file GO appears; note the beginning and the end."""
    _note({"by_hand": "begins"})
    while not Path(os.environ["GO"]).exists():
        time.sleep(0.005)
    _note({"by_hand": "ends"})


@app.timer_trigger(schedule="12:00:00", arg_name="timer")
def fails(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- as above
    raise LookupError("a timer's mistake")
