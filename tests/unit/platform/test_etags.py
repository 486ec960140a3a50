"""Every part of an entity tag counts, and of every condition (RFC 9110, sections 8.8.3, 13.1.1 and 13.1.2)."""

from itertools import product
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import pytest
from azure.core.exceptions import ResourceNotFoundError

from shared.catalog.views.product_details import ReadProduct, read_product
from shared.frame.http import etags
from shared.frame.http.answers import no_content, ok_or_not_modified
from shared.frame.http.requests import QueryCall
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.input import QueryInput
from shared.frame.platform.output import Answer
from shared.frame.read_side.generations import Served
from shared.frame.read_side.read_your_writes import NO_WAIT
from shared.ordering.views.order_details import ReadOrder, read_order

if TYPE_CHECKING:
    from azure.cosmos.aio import ContainerProxy

ID = UUID(int=7)
ORDER = {
    "id": str(ID),
    "customerId": str(ID),
    "customerName": "Ada",
    "status": "Created",
    "currency": None,
    "total": 0,
    "items": {},
    "shippingAddress": {"street": "s", "city": "c", "postalCode": "p", "region": None, "country": None},
    "createdAt": "2026-01-01T00:00:00.000000Z",
}
PRODUCT = {
    "id": str(ID),
    "name": "Tea",
    "description": "Leaves",
    "unitPrice": 100,
    "currency": "EUR",
    "category": "c",
    "isOutOfStock": False,
    "userRating": None,
    "ratingCount": 0,
}


class Kept:
    """A container with one document."""

    id = "kept"

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    async def read_item(self, id_: str, *_: object) -> dict[str, Any]:
        """Give it, and no other."""
        if id_ != str(ID):
            raise ResourceNotFoundError
        return self.document


def served(document: dict[str, Any], generation: int) -> Served:
    return Served(cast("ContainerProxy", Kept(document)), generation)


async def etag_of_order(version: int, changes: int, generation: int) -> str:
    times = dict.fromkeys(("submittedAt", "confirmedAt", "completedAt", "cancelledAt", "cancelReason"))
    document = ORDER | times | {"version": version, "renames": changes}
    query = ReadOrder(order_id=ID, customer_id=ID)
    return (await read_order(served(document, generation), query, NO_WAIT))[1]


async def etag_of_product(version: int, changes: int, generation: int) -> str:
    document = PRODUCT | {"version": version} | ({"healed": changes} if changes else {})
    return (await read_product(served(document, generation), ReadProduct(product_id=ID), NO_WAIT))[1]


@pytest.mark.parametrize("etag_of", [etag_of_order, etag_of_product])
async def test_what_shows_something_else_has_another_tag(etag_of: Any) -> None:
    """Another version, another name or healing in the same version, the same in another generation."""
    seen = {await etag_of(*parts): parts for parts in product((1, 2, 3), (0, 1, 2), (1, 2, 3))}
    assert len(seen) == 27
    assert all(etags.expected_versions(etag) == frozenset({parts[0]}) for etag, parts in seen.items())
    assert await etag_of(2, 0, 1) == '"2"'
    assert await etag_of(2, 1, 1) == '"2.1.1"'
    assert await etag_of(2, 0, 3) == '"2.0.3"'


def test_an_answer_has_the_tag_of_what_it_says() -> None:
    assert etags.of_content(b"a") == etags.of_content(b"a") != etags.of_content(b"b")
    assert etags.of_content(b"a") == '"ca978112ca1bbdcafac231b39a23dc4d"'


@pytest.mark.parametrize(
    ("if_match", "versions"),
    [
        ("*", None),
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
def test_a_command_may_act_on_the_versions_whose_tags_are_given(if_match: str, versions: set[int] | None) -> None:
    assert etags.expected_versions(if_match) == versions


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


class Shown(Answer):
    """An answer."""

    name: str


def asked(if_none_match: str | None) -> QueryCall[QueryInput]:
    return QueryCall(QueryInput(), NO_WAIT, if_none_match)


@pytest.mark.parametrize("etag", ['"3.1.2"', None])
def test_a_query_answers_its_tag_with_the_body_and_without(etag: str | None) -> None:
    full = ok_or_not_modified(asked(None), Shown(name="Ada"), etag)
    tag = full.headers["ETag"]
    assert tag == (etag or etags.of_content(full.get_body()))
    same = ok_or_not_modified(asked(f"W/{tag}"), Shown(name="Ada"), etag)
    assert (full.status_code, full.get_body()) == (200, b'{"name":"Ada"}')
    assert (same.status_code, same.get_body()) == (304, b"")
    for answer in (full, same):
        assert (answer.headers["ETag"], answer.headers["Cache-Control"]) == (tag, "private, no-cache")
    assert ok_or_not_modified(asked('"other"'), Shown(name="Ada"), etag).status_code == 200


def test_a_command_answers_the_tag_of_the_version_that_it_made() -> None:
    answer = no_content(Accepted(ID, 7))
    assert (answer.status_code, answer.headers["ETag"], answer.headers["Cache-Control"]) == (204, '"7"', "no-store")
    assert "Idempotent-Replayed" not in answer.headers
    assert no_content(Accepted(ID, 7, replayed=True)).headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("place", [0, 31, 64, 4_095, 9_999])
def test_answers_that_differ_in_one_byte_have_other_tags_wherever_it_is(place: int) -> None:
    content = b"a" * 10_000
    assert etags.of_content(content) == etags.of_content(bytes(content))
    assert etags.of_content(content) != etags.of_content(content[:place] + b"b" + content[place + 1 :])
    assert etags.of_content(content) != etags.of_content(content[:place])
