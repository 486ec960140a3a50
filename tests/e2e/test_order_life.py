"""An order from its beginning to each of its ends, as the API takes it and as every read model shows it."""

from uuid import uuid4

import pytest

from tests.e2e.api import ADDRESS, Api, eventually, order_body, version_of

SQL = "'; DROP TABLE ordering.orders; -- \" \\ %s {0} ${x} <b>&amp;</b>"


def test_an_order_goes_from_created_to_completed_and_every_read_model_follows(api: Api) -> None:
    customer_id, teapot, cup = api.customer("Ada Lovelace"), api.product("24.90"), api.product("0.05", name="Cup")

    created = api.post("/orders", order_body(customer_id, teapot, quantity=3))
    order_id = created.json()["orderId"]
    assert created.status_code == 201
    assert created.headers["Location"] == f"/api/orders/{order_id}?customerId={customer_id}"
    located = api.http.get(created.headers["Location"].removeprefix("/api"))
    assert located.status_code in {200, 404}  # eventually consistent; the next line waits
    assert api.details(order_id, customer_id, version_of(created))["total"] == "74.70"

    versions = []
    for path, body in (
        ("items", {"productId": cup, "quantity": 7, "expectedPrice": "0.05"}),
        ("submit", None),
        ("confirm", None),
        ("complete", None),
    ):
        answer = api.post(f"/orders/{order_id}/{path}", body)
        assert (answer.status_code, answer.content) == (204, b"")
        versions.append(version_of(answer))
    assert versions == [2, 3, 4, 5]

    details = api.details(order_id, customer_id, 5)
    times = [details.pop(name) for name in ("createdAt", "submittedAt", "confirmedAt", "completedAt")]
    assert times == sorted(times)
    assert details == {
        "orderId": order_id,
        "customerId": customer_id,
        "customerName": "Ada Lovelace",
        "status": "Completed",
        "version": 5,
        "currency": "EUR",
        "total": "75.05",
        "items": [
            {
                "productId": teapot,
                "productName": "Teapot",
                "quantity": 3,
                "unitPrice": "24.90",
                "amount": "74.70",
                "stock": "none",
                "shipped": 0,
                "alternatives": [],
            },
            {
                "productId": cup,
                "productName": "Cup",
                "quantity": 7,
                "unitPrice": "0.05",
                "amount": "0.35",
                "stock": "none",
                "shipped": 0,
                "alternatives": [],
            },
        ],
        "shippingAddress": ADDRESS,
        "cancelledAt": None,
        "cancelReason": None,
        "payment": None,
        "waitsFor": "nothing",
        "allowedActions": [],
    }
    row = {"orderId": order_id, "status": "Completed", "version": 5, "currency": "EUR", "total": "75.05"}
    row |= {"createdAt": times[0], "submittedAt": times[1]}
    orders = api.read(f"/customers/{customer_id}/orders", after=f"{order_id}:5")
    assert orders == {"items": [row], "totalCount": 1}
    assert api.read(f"/customers/{customer_id}/summary") == {
        "customerId": customer_id,
        "customerName": "Ada Lovelace",
        "totalOrders": 1,
        "totalSpent": [{"currency": "EUR", "amount": "75.05"}],
        "lastOrderDate": times[1],
        "recentOrders": [
            {"orderId": order_id, "submittedAt": times[1], "total": {"currency": "EUR", "amount": "75.05"}}
        ],
    }


@pytest.mark.parametrize("way", [[], ["submit"], ["submit", "confirm"]], ids=["created", "submitted", "confirmed"])
def test_a_cancelled_order_is_taken_out_of_the_totals_and_keeps_its_reason(api: Api, way: list[str]) -> None:
    customer_id = api.customer()
    product_id = api.product("1.10")
    kept, cancelled = api.order(customer_id, product_id), api.order(customer_id, product_id, quantity=5)
    api.bring(kept, "Submitted")
    for verb in way:
        assert api.post(f"/orders/{cancelled}/{verb}").status_code == 204

    answer = api.post(f"/orders/{cancelled}/cancel", {"reason": "ordered twice"})

    details = api.details(cancelled, customer_id, version_of(answer))
    assert (details["status"], details["cancelReason"]) == ("Cancelled", "ordered twice")
    assert details["cancelledAt"] >= details["createdAt"]
    summary = api.read(f"/customers/{customer_id}/summary", after=f"{kept}:2")
    assert (summary["totalOrders"], summary["totalSpent"]) == (1, [{"currency": "EUR", "amount": "1.10"}])
    assert len(summary["recentOrders"]) == (2 if way else 1)
    listed = api.read(f"/customers/{customer_id}/orders", status="Cancelled")
    assert [row["orderId"] for row in listed["items"]] == [cancelled]


@pytest.mark.parametrize(("currency", "price", "total"), [("JPY", "1200", "3600"), ("KWD", "0.125", "0.375")])
def test_amounts_have_the_digits_of_their_currency(api: Api, currency: str, price: str, total: str) -> None:
    customer_id = api.customer()
    product_id = api.product(price, currency)
    order_id = api.order(customer_id, product_id, quantity=3)

    api.bring(order_id, "Submitted")

    assert api.details(order_id, customer_id, 2)["total"] == total
    assert api.read(f"/customers/{customer_id}/summary")["totalSpent"] == [{"currency": currency, "amount": total}]
    assert api.read(f"/products/{product_id}", minVersion=1)["unitPrice"] == price


def test_duplicate_products_become_one_line_and_a_removed_one_comes_back_last(api: Api) -> None:
    customer_id = api.customer()
    first, second = api.products(2, "2.00")

    order_id = api.order(customer_id, first, second, first)
    assert [line["quantity"] for line in api.details(order_id, customer_id)["items"]] == [2, 1]

    assert api.http.delete(f"/orders/{order_id}/items/{first}").status_code == 204
    assert api.post(f"/orders/{order_id}/items", {"productId": first, "quantity": 4}).status_code == 204
    lines = api.details(order_id, customer_id, 3)["items"]
    assert [(line["productId"], line["quantity"]) for line in lines] == [(second, 1), (first, 4)]


def test_an_order_is_never_seen_without_its_items(api: Api) -> None:
    customer_id = api.customer()
    products = api.products(100, "0.01")

    for _ in range(10):
        order_id = str(uuid4())
        created = api.post("/orders", order_body(customer_id, *products) | {"orderId": order_id})
        assert (created.status_code, version_of(created)) == (201, 1)

        def seen(path: str = f"/orders/{order_id}?customerId={customer_id}") -> bool:
            return api.get(path).status_code == 200

        eventually(seen, "the order is seen, at whatever version")
        details = api.details(order_id, customer_id)
        assert (details["version"], details["total"]) == (1, "1.00")
        assert [line["productId"] for line in details["items"]] == products


def test_an_order_of_1000_lines_is_seen_in_full(api: Api) -> None:
    customer_id = api.customer()
    products = api.products(1000, "0.01")

    created = api.post("/orders", order_body(customer_id, *products))

    assert created.status_code == 201
    details = api.details(created.json()["orderId"], customer_id, version_of(created))
    assert [line["productId"] for line in details["items"]] == products
    assert details["total"] == "10.00"


def test_sql_in_every_string_is_stored_and_answered_as_it_was_sent(api: Api) -> None:
    customer_id = api.customer(SQL)
    added = api.post(
        "/products",
        {"name": SQL, "description": SQL, "unitPrice": "1", "currency": "EUR", "category": SQL},
        Idempotency_Key="';DROP/**/TABLE/**/ordering.event_log;--",
    )
    product_id = added.json()["productId"]
    eventually(lambda: not api.unknown_products([product_id]), "ordering knows the product")
    short = "');DROP TABLE x;--"
    address = {"street": SQL, "city": SQL, "postalCode": short, "region": SQL, "country": "IE"}
    created = api.post("/orders", order_body(customer_id, product_id) | {"shippingAddress": address})
    order_id = created.json()["orderId"]
    answer = api.post(f"/orders/{order_id}/cancel", {"reason": SQL})

    details = api.details(order_id, customer_id, version_of(answer))
    assert details["shippingAddress"] == address
    assert (details["customerName"], details["cancelReason"]) == (SQL, SQL)
    assert details["items"][0]["productName"] == SQL
    product = api.read(f"/products/{product_id}", minVersion=1)
    assert (product["name"], product["description"], product["category"]) == (SQL, SQL, SQL)


def test_renames_reach_orders_and_summaries_that_are_there_already(api: Api) -> None:
    customer_id, product_id = api.customer("Ada Byron"), api.product(name="Teapot")
    done, still_open = api.order(customer_id, product_id), api.order(customer_id, product_id)
    api.bring(done, "Completed")

    assert api.post(f"/customers/{customer_id}/rename", {"name": "Ada Lovelace"}).status_code == 204
    assert api.post(f"/products/{product_id}/rename", {"name": "Teekanne 急須"}).status_code == 204

    def names(order_id: str) -> tuple[str, str]:
        details = api.details(order_id, customer_id)
        return details["customerName"], details["items"][0]["productName"]

    for order_id in (done, still_open):
        eventually(lambda: names(order_id) == ("Ada Lovelace", "Teekanne 急須"), f"{order_id} has the new names")  # noqa: B023 -- awaited in the same round
    summary = api.read(f"/customers/{customer_id}/summary", minVersion=2)
    assert summary["customerName"] == "Ada Lovelace"
    assert api.read(f"/products/{product_id}", minVersion=2)["name"] == "Teekanne 急須"


def test_a_changed_price_holds_for_new_lines_and_not_for_those_there_are(api: Api) -> None:
    customer_id, product_id = api.customer(), api.product("10.00")
    before = api.order(customer_id, product_id)

    assert api.post(f"/products/{product_id}/price", {"unitPrice": "9.99"}).status_code == 204
    body = order_body(customer_id, product_id)
    body["items"][0]["expectedPrice"] = "9.99"
    eventually(lambda: api.post("/orders", body).status_code == 201, "ordering has the new price")

    assert api.details(before, customer_id)["total"] == "10.00"
    eventually(
        lambda: [row["total"] for row in api.read(f"/customers/{customer_id}/orders")["items"]] == ["9.99", "10.00"],
        "the new order is seen at the new price",
    )
