"""Every part of an entity tag counts, and of every condition (RFC 9110, sections 8.8.3, 13.1.1 and 13.1.2)."""

import re
from collections.abc import Callable
from functools import partial
from typing import override
from uuid import UUID

import pytest

from shared.frame.http import etags
from shared.frame.http.answers import no_content, ok_or_not_modified
from shared.frame.http.requests import QueryCall
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.input import QueryInput
from shared.frame.platform.output import Answer
from shared.frame.read_side.read_your_writes import NO_WAIT
from tests.support.tags import tag_of

ID = UUID(int=7)


class Shown(Answer):
    """An answer."""

    name: str


class Confidential(Shown):
    """An answer that has a secret."""

    @property
    @override
    def holds_secret(self) -> bool:
        return True


def asked(if_none_match: str | None) -> QueryCall[QueryInput]:
    return QueryCall(QueryInput(), NO_WAIT, if_none_match)


def test_a_document_that_shows_something_else_in_the_same_version_has_another_tag() -> None:
    """By a rename, by another release, to another caller; and the same in another version is another one too."""
    seen = {tag_of(Shown(name=name), version): version for version in (1, 2, 3) for name in ("Ada", "Ada L.", "")}
    assert len(seen) == 9
    assert all(etags.expected_versions(tag) == frozenset({version}) for tag, version in seen.items())
    assert tag_of(Shown(name="Ada"), 2) == tag_of(Shown(name="Ada"), 2)
    assert etags.of_document(2, b"a") == '"2.598278634844962250"'


@pytest.mark.parametrize("content", [bytes([each]) for each in range(256)])
def test_a_release_that_knows_counters_alone_takes_the_tag_of_a_document(content: bytes) -> None:
    tag = etags.of_document(7, content)
    before = r'"([1-9][0-9]{0,17})(?:\.(?:0|[1-9][0-9]{0,17})){0,2}"'
    assert (found := re.fullmatch(before, tag))
    assert found[1] == "7"


def test_an_answer_has_the_tag_of_what_it_says() -> None:
    assert etags.of_content(b"a") == etags.of_content(b"a") != etags.of_content(b"b")
    assert etags.of_content(b"a") == '"ca978112ca1bbdcafac231b39a23dc4d"'


@pytest.mark.parametrize(
    ("if_match", "versions"),
    [
        ('"1"', {1}),
        ('"12.0.3"', {12}),
        ('"12.5"', {12}),
        ('"1","2" ,\t"3.1.1"', {1, 2, 3}),
        (',"1",,', {1}),
        ('W/"1"', set()),
        ('W/"1", "2"', {2}),
        ('"01"', set()),
        ('"0"', set()),
        ('"1.01"', set()),
        ('"1.2.3.4"', set()),
        ('"1."', set()),
        ('"x1"', set()),
        ('"1x"', set()),
        ('""', set()),
        ('"1234567890123456789"', set()),
        ('"123456789012345678"', {123456789012345678}),
    ],
)
def test_a_command_may_act_on_the_versions_whose_tags_are_given(if_match: str, versions: set[int]) -> None:
    assert etags.expected_versions(if_match) == versions


def test_a_star_is_every_version_of_something_that_exists() -> None:
    every = etags.expected_versions("*")
    assert all(version in every for version in (1, 2, 10**18 - 1))
    assert 0 not in every


@pytest.mark.parametrize("if_match", ["", "1", "*, *", '*,"1"', '"1" "2"', 'w/"1"', '"1', '"\n"', "'1'"])
def test_what_is_no_condition_is_told_so(if_match: str) -> None:
    with pytest.raises(ValueError, match=r'^should be \*, or ETags with commas between, like "3"$'):
        etags.expected_versions(if_match)


@pytest.mark.parametrize(
    "known", ['"2.1.1"', 'W/"2.1.1"', '"1", "2.1.1"', 'W/"1",W/"2.1.1"', "*", '  "2.1.1"  ', " * "]
)
def test_a_caller_who_names_the_tag_has_the_answer(known: str) -> None:
    assert etags.is_known(known, '"2.1.1"')


@pytest.mark.parametrize("unknown", [None, "", '"2"', '"2.1"', '"2.1.11"', '"x2.1.1"', "2.1.1", '*, "2.1.1"', '"1"'])
def test_a_caller_who_does_not_gets_it(unknown: str | None) -> None:
    assert not etags.is_known(unknown, '"2.1.1"')


@pytest.mark.parametrize("version", [3, None])
@pytest.mark.parametrize(("answer", "kept"), [(Shown, "private, no-cache"), (Confidential, "no-store")])
def test_a_query_answers_its_tag_with_the_body_and_without(version: int | None, answer: type[Shown], kept: str) -> None:
    full = ok_or_not_modified(asked(None), answer(name="Ada"), version)
    tag, body = full.headers["ETag"], full.get_body()
    assert tag == (etags.of_document(version, body) if version else etags.of_content(body))
    same = ok_or_not_modified(asked(f"W/{tag}"), answer(name="Ada"), version)
    assert (full.status_code, body) == (200, b'{"name":"Ada"}')
    assert (same.status_code, same.get_body()) == (304, b"")
    for each in (full, same):
        assert (each.headers["ETag"], each.headers["Cache-Control"]) == (tag, kept)
    for other in ('"other"', '"3"'):
        assert ok_or_not_modified(asked(other), answer(name="Ada"), version).status_code == 200


def test_a_command_answers_the_tag_of_the_version_that_it_made() -> None:
    answer = no_content(Accepted(ID, 7))
    assert (answer.status_code, answer.headers["ETag"], answer.headers["Cache-Control"]) == (204, '"7"', "no-store")
    assert "Idempotent-Replayed" not in answer.headers
    assert no_content(Accepted(ID, 7, replayed=True)).headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("place", [0, 31, 64, 4_095, 9_999])
@pytest.mark.parametrize("tagged", [etags.of_content, partial(etags.of_document, 3)])
def test_answers_that_differ_in_one_byte_have_other_tags_wherever_it_is(
    place: int, tagged: Callable[[bytes], str]
) -> None:
    content = b"a" * 10_000
    assert tagged(content) == tagged(bytes(content))
    assert tagged(content) != tagged(content[:place] + b"b" + content[place + 1 :])
    assert tagged(content) != tagged(content[:place])
