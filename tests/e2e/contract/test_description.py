"""The description and its page as they are served, and the examples, which work."""

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.e2e.api import Api
from tests.e2e.contract.story import STORY, tell
from tests.support.api import client
from tests.support.stack import running_stack

TYPES = {
    "/openapi.json": "application/json",
    "/asyncapi.json": "application/json",
    "/docs": "text/html; charset=utf-8",
    "/docs/docs.js": "text/javascript; charset=utf-8",
    "/docs/favicon-32x32.png": "image/png",
    "/docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui.css": "text/css; charset=utf-8",
}
REST_OF_THE_STORY = [
    *("postCustomerRename", "postProductRename", "postProductPrice", "deleteOrderItem", "postOrderItem"),
    *("postOrderSubmit", "postOrderConfirm", "postOrderComplete", "getCustomerOrders"),
]


def test_the_served_description_is_valid_openapi_3_1(api: Api) -> None:
    document = api.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


@pytest.mark.parametrize(("path", "media_type"), TYPES.items())
def test_the_description_and_its_page_are_served_as_what_they_are_and_only_once(
    api: Api, path: str, media_type: str
) -> None:
    first = api.get(path)
    assert first.status_code == httpx.codes.OK
    assert first.headers["Content-Type"] == media_type
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    again = api.get(path, {"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (httpx.codes.NOT_MODIFIED, b"")


def test_they_are_compressed_for_those_who_can_read_it(api: Api) -> None:
    sizes = {}
    for coding in ("gzip", "identity", "gzip;q=0"):
        answer = api.http.get("/docs/swagger-ui-bundle.js", headers={"Accept-Encoding": coding})
        assert b"SwaggerUIBundle" in answer.content
        assert answer.headers["Vary"] == "Accept-Encoding"
        sizes[coding] = answer.num_bytes_downloaded
    assert sizes["gzip"] < sizes["identity"] / 3
    assert sizes["gzip;q=0"] == sizes["identity"]


def test_the_examples_work_one_after_the_other() -> None:
    with running_stack() as stack, client(stack) as http:
        tell(http, [*STORY, *REST_OF_THE_STORY])
