"""Headers with parameters, in every spelling that their RFCs allow."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.frame.http.header_values import is_json, preference
from tests.support.tools import ROOT


@pytest.mark.parametrize(
    ("prefer", "value"),
    [
        (None, None),
        ("", None),
        ("wait", None),
        ("wait=", None),
        ("wait=5", "5"),
        ("Wait = 5", "5"),
        ('wait="5"', "5"),
        ('wait="\\5"', "5"),
        ("wait=Long", "long"),
        ("nowait=5", None),
        ('x="wait=5", wait=6', "6"),
        ("wait=5;a=b, wait=6", "5"),
    ],
)
def test_a_preference_is_read(prefer: str | None, value: str | None) -> None:
    assert preference(prefer, "wait") == value


HOSTILE = """
from shared.frame.http.header_values import is_json, preference
many = 500_000
for prefer in ("wait=" + " " * many + "=", " " * many + "=", "wait" + " " * many + "x", 'a="' + "\\\\" * many):
    assert preference(prefer, "wait") is None
for parameters in (";" * many, " " * many + "x", ";a" * many + "(", ';"' + ";" * many, ';a="' + "\\\\" * many):
    assert not is_json("application/json" + parameters) or set(parameters) <= {";"}
"""


def test_no_header_takes_longer_than_its_length() -> None:
    """Each would take hours if it took the square of its length, and hold everybody up meanwhile."""
    subprocess.run([sys.executable, "-c", HOSTILE], cwd=ROOT, check=True, timeout=60)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; Charset=UTF-8",
        "application/json;",
        "application/json; a=b",
        "application/json; a",
        "application/json;;\ta=; ",
        'application/json ;a="; charset=latin-1" ; charset="utf\\-8"',
        "application/json; a*0=x; a*=y",
        "application/json; charset*0=utf; charset*1=-16",
    ],
)
def test_json_may_say_that_it_is_utf_8(content_type: str) -> None:
    assert is_json(content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "json",
        "application/jsonp",
        "application/json, application/json",
        "application/json; charset=latin-1",
        'application/json; charset="latin-1"',
        "application/json; charset",
        "application/json; charset=",
        "application/json; charset=utf-8; charset=utf-16",
        'application/json; a="; charset=utf-8',
        "application/json; charset= utf-8",
        "application/json\n",
    ],
)
def test_other_text_is_no_json(content_type: str | None) -> None:
    assert not is_json(content_type)


NAMES = ["a", "a*", "a*0", "a*0*", "a*1", "charset", "charset*", "charset*0", "é", ""]
VALUES = ["x", "utf-8", '"utf-8"', "utf-16''x", '"', "\\", "=?utf-8?b?x?=", "%zz", ""]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)).map("=".join), max_size=8).map(";".join))
def test_whatever_parameters_come_it_is_json_or_not(parameters: str) -> None:
    """The standard library's reading, which was asked before, failed on some."""
    assert is_json(f"application/json;{parameters}") in {True, False}
