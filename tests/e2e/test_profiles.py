"""Customers whole: who they are, where their orders go, and what of it whom is told."""

from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.api import ADDRESS, Api, eventually, order_body, problem, version_of
from tests.support.stack import Stack


def registered(api: Api) -> tuple[str, str]:
    customer_id, email = str(uuid4()), f"Ada.{uuid4()}@example.com"
    answer = api.post("/customers", {"customerId": customer_id, "name": "Ada", "email": email})
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/api/customers/{customer_id}")
    return customer_id, email


def test_a_customer_is_shown_at_once_as_their_commands_left_them(api: Api) -> None:
    customer_id, email = registered(api)
    path = f"/customers/{customer_id}"
    shown: dict[str, Any] = {
        "customerId": customer_id,
        "name": "Ada",
        "email": email,
        "addresses": [],
        "defaultAddressId": None,
    }
    preferences = {"language": None, "currency": None, "newsletter": False}
    assert api.read(path) == shown | {"preferences": preferences, "version": 1}

    home, work = str(uuid4()), str(uuid4())
    added = api.post(f"{path}/addresses", ADDRESS | {"addressId": home, "label": "Home"})
    assert (added.status_code, added.json(), version_of(added)) == (201, {"addressId": home}, 2)
    assert api.post(f"{path}/addresses", ADDRESS | {"addressId": work}).status_code == 201
    assert api.post(f"{path}/addresses/{work}/default").status_code == 204
    assert api.http.put(f"{path}/addresses/{home}", json=ADDRESS | {"city": "Galway"}).status_code == 204
    wished = {"language": "EN-gb", "currency": "GBP", "newsletter": True}
    assert api.http.put(f"{path}/preferences", json=wished).status_code == 204
    new_email = f"{uuid4()}@example.com"
    assert api.post(f"{path}/email", {"email": new_email}).status_code == 204
    assert api.post(f"{path}/rename", {"name": "Ada King"}).status_code == 204

    answer = api.get(path)
    assert (answer.headers["ETag"].partition(".")[0], answer.json()) == (
        '"8',
        {
            "customerId": customer_id,
            "name": "Ada King",
            "email": new_email,
            "addresses": [
                {"addressId": home, "label": None, **ADDRESS, "city": "Galway"},
                {"addressId": work, "label": None, **ADDRESS},
            ],
            "defaultAddressId": work,
            "preferences": {"language": "en-GB", "currency": "GBP", "newsletter": True},
            "version": 8,
        },
    )
    assert api.http.delete(f"{path}/addresses/{work}").status_code == 204
    shown = api.read(path)
    assert (shown["defaultAddressId"], [each["addressId"] for each in shown["addresses"]]) == (None, [home])
    problem(api.http.delete(f"{path}/addresses/{work}"), 404, "address-not-found")
    problem(api.post(f"{path}/addresses", ADDRESS | {"addressId": home}), 409, "address-already-exists")


def test_an_address_without_an_id_has_the_same_one_for_the_same_key(api: Api) -> None:
    customer_id, _ = registered(api)
    key = str(uuid4())
    first, again = (api.post(f"/customers/{customer_id}/addresses", ADDRESS, Idempotency_Key=key) for _ in range(2))
    assert first.json() == again.json()
    assert [each["addressId"] for each in api.read(f"/customers/{customer_id}")["addresses"]] == [
        first.json()["addressId"]
    ]


def test_an_email_address_belongs_to_one_customer_and_nobody_is_told_to_whom(api: Api) -> None:
    customer_id, email = registered(api)
    other_id, other_email = registered(api)
    for spelled in (email, email.upper()):
        taken = problem(api.post("/customers", {"name": "Eve", "email": spelled}), 409, "email-taken")
        assert customer_id not in str(taken)
        assert email.casefold() not in str(taken).casefold()
        problem(api.post(f"/customers/{other_id}/email", {"email": spelled}), 409, "email-taken")
    assert api.post(f"/customers/{customer_id}/email", {"email": email.lower()}).status_code == 204

    assert api.read("/customers", email=email)["customerId"] == customer_id
    assert api.post(f"/customers/{customer_id}/email", {"email": f"{uuid4()}@example.com"}).status_code == 204
    told = problem(api.get("/customers", email=email), 404, "customer-not-found")
    assert email.casefold() not in told["detail"].casefold()
    assert api.post(f"/customers/{other_id}/email", {"email": email}).status_code == 204  # it is free again
    assert api.read("/customers", email=email.upper())["customerId"] == other_id
    assert api.read("/customers", email=email)["email"] == email
    problem(api.get("/customers", email="ada"), 422, "invalid", "/email")
    problem(api.get("/customers"), 422, "invalid", "/email")
    problem(api.get("/customers", email=other_email), 404, "customer-not-found")


def test_customers_see_and_change_themselves_and_nobody_else(api: Api, stack: Stack) -> None:
    customer_id, email = registered(api)
    other_id, others = registered(api)
    with Api(stack, stack.customer_token(customer_id)) as ada:
        assert ada.read(f"/customers/{customer_id}")["email"] == email
        assert ada.post(f"/customers/{customer_id}/rename", {"name": "A"}).status_code == 204
        added = ada.post(f"/customers/{customer_id}/addresses", ADDRESS)
        assert added.status_code == 201
        problem(ada.get("/customers", email=email), 403, "forbidden")
        told = {
            problem(ada.post(f"/customers/{customer_id}/email", {"email": asked}), 403, "forbidden")["detail"]
            for asked in (email, others, f"{uuid4()}@example.com")
        }
        assert len(told) == 1, "no customer is told who else is registered"
        assert ada.read(f"/customers/{customer_id}")["email"] == email
        problem(ada.get(f"/customers/{other_id}"), 404, "customer-not-found")


@pytest.mark.parametrize(
    ("country", "code"), [("Germany", "DE"), ("the netherlands", "NL"), ("UK", "GB"), ("gb", "GB")]
)
def test_who_writes_a_country_s_name_is_told_its_code(api: Api, country: str, code: str) -> None:
    customer_id, _ = registered(api)
    answer = api.post(f"/customers/{customer_id}/addresses", ADDRESS | {"country": country})
    assert problem(answer, 422, "invalid", "/country")["errors"][0]["detail"].endswith(f"code: {code}")
    body = order_body(customer_id) | {"shippingAddress": ADDRESS | {"country": "XX"}}
    problem(api.post("/orders", body), 422, "invalid", "/shippingAddress/country")


@pytest.mark.parametrize(
    "country", [7, True, ["DE"], {"code": "DE"}, "", "Atlantis", "D" * 10_000], ids=lambda c: str(c)[:9]
)
def test_what_is_no_country_is_refused(api: Api, country: object) -> None:
    customer_id, _ = registered(api)
    answer = api.post(f"/customers/{customer_id}/addresses", ADDRESS | {"country": country})
    problem(answer, 422, "invalid", "/country")


def test_an_order_goes_to_the_address_that_it_names_or_to_the_default_one(api: Api) -> None:
    customer_id, product_id = api.customer(), api.product()
    body = order_body(customer_id, product_id)
    del body["shippingAddress"]
    problem(api.post("/orders", body), 422, "invalid", "/shippingAddress")
    unknown = body | {"shippingAddressId": str(uuid4())}
    problem(api.post("/orders", unknown), 422, "invalid", "/shippingAddressId")

    home, work = str(uuid4()), str(uuid4())
    for address_id, city in ((home, "Cork"), (work, "Galway")):
        address = ADDRESS | {"addressId": address_id, "city": city}
        assert api.post(f"/customers/{customer_id}/addresses", address).status_code == 201

    def ordered(**choice: object) -> str:
        answer = api.post("/orders", body | choice)
        if answer.status_code != 201:
            return answer.text
        return str(api.details(answer.json()["orderId"], customer_id)["shippingAddress"]["city"])

    eventually(lambda: ordered(shippingAddressId=work) == "Galway", "ordering knows the address")
    eventually(lambda: ordered() == "Cork", "ordering knows the default")
    problem(
        api.post("/orders", body | {"shippingAddress": ADDRESS, "shippingAddressId": home}),
        422,
        "invalid",
        "/shippingAddressId",
    )
    assert ordered(shippingAddress=ADDRESS | {"city": "Sligo"}) == "Sligo"
    assert api.http.delete(f"/customers/{customer_id}/addresses/{home}").status_code == 204
    eventually(lambda: "/shippingAddress" in ordered(), "ordering knows that there is no default")


def test_another_customers_address_is_nobodys(api: Api) -> None:
    owner, product_id = api.customer(), api.product()
    address_id = str(uuid4())
    assert api.post(f"/customers/{owner}/addresses", ADDRESS | {"addressId": address_id}).status_code == 201
    body = order_body(api.customer(), product_id) | {"shippingAddressId": address_id}
    del body["shippingAddress"]
    problem(api.post("/orders", body), 422, "invalid", "/shippingAddressId")
