"""function_app.py as it is, without a host: its operations and functions."""

import runpy
from typing import Any

import pytest

from tests.support.stack import ROOT

SETTINGS = {
    "SqlConnection": "sqlite://",
    "CosmosConnection": "AccountEndpoint=http://127.0.0.1:1/;AccountKey=a2V5;",
    "ServiceBusConnection": "Endpoint=sb://127.0.0.1;SharedAccessKeyName=n;SharedAccessKey=k;",
}


def app_globals() -> dict[str, Any]:
    """The globals of function_app.py, run afresh, because an app gives its functions only once."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        patch.syspath_prepend(ROOT)
        return runpy.run_path(str(ROOT / "function_app.py"))


def function_names() -> set[str]:
    """What the app in this checkout declares."""
    return {each.get_function_name() for each in app_globals()["app"].get_functions()}


def scale_groups() -> set[str]:
    """What Flex Consumption scales by itself: all that HTTP triggers together, and each other function."""
    triggers = {each.get_function_name(): each.get_trigger().type for each in app_globals()["app"].get_functions()}
    return {"http" if kind == "httpTrigger" else f"function:{name}" for name, kind in triggers.items()}


def http_functions(app: dict[str, Any]) -> list[tuple[str, str, frozenset[str]]]:
    """Name, route and methods (none: all) of each HTTP function."""
    triggers = [(function.get_function_name(), function.get_trigger()) for function in app["app"].get_functions()]
    return [
        (name, trigger.route, frozenset(method.value for method in trigger.methods or ()))
        for name, trigger in triggers
        if trigger.type == "httpTrigger"
    ]
