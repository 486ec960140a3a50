"""No byte of an erased customer is in any file of the laptop's stores; no rebuild, no old message brings one back."""

import base64
import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusClient
from azure.servicebus.exceptions import OperationTimeoutError

from shared.customers import tables as customers
from shared.frame.messaging.envelope import Envelope
from shared.frame.messaging.topics import to_message
from shared.frame.sql.engines import sql_engine
from shared.frame.write_side.event_log import EventLog
from shared.frame.write_side.log_table import envelope_of
from shared.ordering import tables as ordering
from shared.payments import tables as payments
from tests.e2e.api import Api, eventually
from tests.support.rules import lets_in
from tests.support.stack import Stack, running_stack

SOON = {"WatchSchedule": "* * * * * *"}
DEAF = {f"AzureWebJobs.{name}.Disabled": "1" for name in ("project_order", "follow_customers", "follow_payments")}
SUBSCRIPTIONS = {"order-events": "order-views", "customer-events": "ordering", "payment-events": "ordering"}
OTHERS = (("order-events", "billing"), ("order-events", "shipping"), ("payment-events", "billing"))
WITHIN = 90.0
ORDERS = 300
AT_3 = sa.select(ordering.LOG.table.c.type).where(ordering.LOG.table.c.aggregate_version == 3)
ENDED = 2
"""What ordering notes of a customer whose erasure has ended."""

NAME, NEW_NAME = "Ädelheid Söderström-Quill", "Ädelheid Quillfeather"
EMAIL, NEW_EMAIL = "adelheid.quill@post.example", "quillfeather@other.example"
HOME = {"street": "Nachtigallenweg 77 ½", "city": "Großräschen-Süd", "postalCode": "ZX-01983", "region": "Lausitzland"}
SHIPPED = {"street": "Rue de l'Étoile 9bis", "city": "Clermont-Perdu", "postalCode": "QW-63000"}
LABEL, CANCELLED, ASKED = "beim Schwesterherz", "weil mein Dackel krank ist", "Brief vom Nikolaustag"
REFUNDED, GIVEN_BACK_LATER = "Frau Quillfeathers Tasse zerbrach", "Frau Quillfeather schrieb noch einmal"
LATER = {ASKED, GIVEN_BACK_LATER}
OWN = (NAME, NEW_NAME, EMAIL, NEW_EMAIL, *HOME.values(), *SHIPPED.values(), LABEL, CANCELLED, REFUNDED, *LATER)


def written(word: str) -> Iterator[bytes]:
    """The bytes that a word is as text, in JSON, and in base64, wherever in a longer text it begins."""
    plain = word.encode()
    yield from (plain, word.encode("utf-16-le"), word.encode("utf-16-be"), json.dumps(word)[1:-1].encode())
    for shift in range(3):
        coded = base64.b64encode(bytes(shift) + plain).rstrip(b"=")
        whole = (shift + len(plain)) % 3 == 0
        yield coded[(0, 2, 3)[shift] : None if whole else -1]


def found_in(data: Path) -> Mapping[str, set[str]]:
    """Which words are in which files."""
    found: dict[str, set[str]] = {}
    for file in sorted(path for path in data.rglob("*") if path.is_file()):
        content = file.read_bytes()
        words = {word for word in OWN if any(each in content for each in written(word))}
        if words:
            found[str(file.relative_to(data))] = words
    return found


def lived(api: Api) -> tuple[str, list[str]]:
    """A customer's life, all of it over: who, and the orders."""
    customer_id = str(uuid4())
    about = f"/customers/{customer_id}"
    assert api.post("/customers", {"customerId": customer_id, "name": NAME, "email": EMAIL}).status_code == 201
    api.read(f"{about}/summary", minVersion=1)
    assert api.post(f"{about}/addresses", HOME | {"label": LABEL, "country": "DE"}).status_code == 201
    assert api.post(f"{about}/rename", {"name": NEW_NAME}).status_code == 204
    assert api.post(f"{about}/email", {"email": NEW_EMAIL}).status_code == 204
    products = [api.product(), api.product()]
    orders = [api.order(customer_id, product) for product in products]
    for order in orders:
        assert api.post(f"/orders/{order}/shipping-address", SHIPPED).status_code == 204
        assert api.post(f"/orders/{order}/submit").status_code == 204
    assert api.post(f"/orders/{orders[0]}/confirm").status_code == 204
    assert api.post(f"/orders/{orders[0]}/complete").status_code == 204
    assert api.post(f"/orders/{orders[1]}/cancel", {"reason": CANCELLED}).status_code == 204
    api.details(orders[0], customer_id, 5)
    api.details(orders[1], customer_id, 4)
    return customer_id, [*orders, paid(api, customer_id)]


def paid(api: Api, customer_id: str) -> str:
    """An order that was paid for, and whose cup was broken."""
    order = api.order(customer_id, api.product())
    assert api.post(f"/orders/{order}/submit", {"payment": {"token": "pm_card_visa"}}).status_code == 204
    eventually(lambda: api.read(f"/orders/{order}", customerId=customer_id)["status"] == "Confirmed", "it is", WITHIN)
    assert api.post(f"/orders/{order}/complete").status_code == 204
    payment_is(api, order, customer_id, 5)
    assert api.post(f"/orders/{order}/refund", {"amount": "1.00", "reason": REFUNDED}).status_code == 204
    payment_is(api, order, customer_id, 7)
    return order


def payment_is(api: Api, order_id: str, customer_id: str, version: int) -> None:
    """Wait until the payment has come to a version: 5 captured, 7 a part given back, 8 erased, 10 all given back."""
    path = f"/orders/{order_id}/payment"
    eventually(lambda: api.read(path, customerId=customer_id)["version"] == version, f"it is at {version}", WITHIN)


def rebuilt(api: Api) -> None:
    assert api.post("/ops/projections/orders/rebuild").status_code == 200
    eventually(lambda: api.read("/ops/projections/orders")["rebuild"]["step"] == "done", "it is rebuilt", WITHIN)


def logged(stack: Stack, schema: str, log: EventLog[Any]) -> list[Envelope]:
    """What the log says, as messages of earlier releases said it."""
    engine = sql_engine(stack.settings["SqlConnection"], schema)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(log.table).order_by(log.table.c.sequence)).all()
    engine.dispose()
    return [envelope_of(row) for row in rows]


def sent_in_full(stack: Stack, old: Mapping[str, list[Envelope]]) -> None:
    """Send messages as earlier releases did, under new ids: the topic drops those that it has seen of late."""
    with ServiceBusClient.from_connection_string(stack.settings["ServiceBusConnection"]) as client:
        for topic, envelopes in old.items():
            with client.get_topic_sender(topic) as sender:
                for envelope in envelopes:
                    message = to_message(envelope, topic.removesuffix("-events"))
                    message.message_id = str(uuid4())
                    sender.send_messages(message)


def fetched_by_others(stack: Stack) -> None:
    """Let the other systems take in what they were sent in full; they answer for it from then on."""
    # no retries: the library takes a subscription without a message for one that does not answer in time
    connection = stack.settings["ServiceBusConnection"]
    with ServiceBusClient.from_connection_string(connection, retry_total=0) as client:
        for topic, subscription in OTHERS:
            while True:
                try:
                    with client.get_subscription_receiver(
                        topic, subscription, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=1
                    ) as receiver:
                        for message in receiver:
                            receiver.complete_message(message)
                except OperationTimeoutError:
                    break  # no session has any


def given_up(stack: Stack, old: Mapping[str, list[Envelope]]) -> None:
    """Let them become dead letters."""
    sent_in_full(stack, old)
    with ServiceBusClient.from_connection_string(stack.settings["ServiceBusConnection"]) as client:
        for topic, subscription in SUBSCRIPTIONS.items():
            with client.get_subscription_receiver(topic, subscription) as receiver:
                for _ in let_in(topic, old[topic]):
                    [message] = receiver.receive_messages(1, max_wait_time=30)
                    receiver.dead_letter_message(message, reason="of old")


def let_in(topic: str, envelopes: list[Envelope]) -> list[Envelope]:
    """Those that come into the topic's subscription."""
    return [envelope for envelope in envelopes if lets_in(topic, SUBSCRIPTIONS[topic], envelope.type)]


def counted(api: Api) -> int:
    return sum(int(each["count"]) for each in api.dead_letters())


def test_no_byte_of_an_erased_customer_is_in_any_file(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_stack(data, SOON) as stack, Api(stack) as api:
        customer_id, orders = lived(api)
        totals = [api.details(order, customer_id)["total"] for order in orders]
        rebuilt(api)
        assert api.post("/ops/projections/orders/retire").status_code == 200  # its documents stay where they are
        old = {
            "order-events": logged(stack, "ordering", ordering.LOG),
            "customer-events": logged(stack, "customers", customers.LOG),
            "payment-events": logged(stack, "payments", payments.LOG),
        }
    with running_stack(data, SOON | DEAF) as stack:
        given_up(stack, old)
    before = found_in(data)
    assert set().union(*before.values()) == {*OWN} - LATER
    assert len(before) > 3, "each store has something"

    with running_stack(data, SOON) as stack, Api(stack) as api:
        assert api.post(f"/customers/{customer_id}/erase", {"reason": ASKED}).status_code == 204
        for order in orders:
            eventually(lambda order=order: was_erased(api, order), "it is erased", WITHIN)
        eventually(lambda: ended(stack, customer_id), "the erasure has ended", WITHIN)
        assert api.get(f"/customers/{customer_id}").status_code == 404
        payment_is(api, orders[2], customer_id, 8)
        assert api.post(f"/orders/{orders[2]}/refund", {"reason": GIVEN_BACK_LATER}).status_code == 204
        payment_is(api, orders[2], customer_id, 10)

        assert counted(api) == sum(len(let_in(topic, envelopes)) for topic, envelopes in old.items())
        for topic, subscription in SUBSCRIPTIONS.items():
            replayed = api.post("/ops/dead-letters/replay", {"subscription": f"{topic}/{subscription}"})
            assert {item["result"] for item in replayed.json()["items"]} == {"replayed"}, replayed.text
        sent_in_full(stack, old)
        fetched_by_others(stack)
        rebuilt(api)
        eventually(lambda: counted(api) == 0, "no dead letter is left")
        assert drift(api, customer_id) == 0

        assert [api.details(order, customer_id)["total"] for order in orders] == totals
        assert api.details(orders[0], customer_id)["customerName"] == "erased"
        history = api.read(f"/orders/{orders[0]}/history")
        assert [event["type"] for event in history["events"]][-1] == "OrderErasedV1"
        assert history["events"][0]["data"]["customerName"] == "erased"
        past = api.read(f"/orders/{orders[0]}", customerId=customer_id, asOfVersion=2)
        assert past["shippingAddress"]["street"] == "erased"
        assert api.read(f"/customers/{customer_id}/summary")["totalOrders"] == 2
        printed = stack.printed()
    assert found_in(data) == {}
    assert [word for word in OWN if word in printed] == []


def test_an_erasure_goes_on_where_a_killed_host_left_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_stack(data, SOON) as stack, Api(stack) as api:
        customer_id = str(uuid4())
        assert api.post("/customers", {"customerId": customer_id, "name": NAME, "email": EMAIL}).status_code == 201
        api.read(f"/customers/{customer_id}/summary", minVersion=1)
        body = {"customerId": customer_id, "items": [], "shippingAddress": SHIPPED}
        for _ in range(ORDERS):
            order = api.post("/orders", body).json()["orderId"]
            assert api.post(f"/orders/{order}/cancel", {"reason": CANCELLED}).status_code == 204
        api.details(order, customer_id, 2)
        assert api.post(f"/customers/{customer_id}/erase", {"reason": ASKED}).status_code == 204

        eventually(lambda: killed_in_the_middle(stack), "some are erased, and not all", WITHIN)
        stack.wait_ready()
        eventually(lambda: ended(stack, customer_id), "the erasure has ended", WITHIN)
        versions = sa.select(ordering.ORDERS.c.version, ordering.ORDERS.c.erased)
        assert read(stack, versions) == [(3, True)] * ORDERS  # each was erased once
        assert {row.type for row in read(stack, AT_3)} == {"OrderErasedV1"}
        eventually(lambda: drift(api, customer_id) == 0, "the read model shows what the log says", WITHIN)
        printed = stack.printed()
    assert found_in(data) == {}
    assert [word for word in OWN if word in printed] == []


def killed_in_the_middle(stack: Stack) -> bool:
    """End the host while nobody can erase a further order, unless none is erased yet."""
    with stack.locked() as ordering_db:
        [(erased,)] = ordering_db.execute("SELECT count(*) FROM orders WHERE erased")
        assert erased < ORDERS, "the erasure is over"
        if erased:
            kill_host_and_workers(stack)
    return bool(erased)


def kill_host_and_workers(stack: Stack) -> None:
    """End them all at once: a worker would carry out to its end what it has begun."""
    host = stack.pids["host"]
    children = [children.read_text().split() for children in Path(f"/proc/{host}/task").glob("*/children")]
    for pid in (host, *(int(each) for of_thread in children for each in of_thread)):
        os.kill(pid, signal.SIGKILL)


def drift(api: Api, customer_id: str) -> int:
    return int(api.post("/ops/projections/orders/check", {"ids": [customer_id]}).json()["drift"]["found"])


def read(stack: Stack, statement: sa.Select[Any]) -> list[Any]:
    engine = sql_engine(stack.settings["SqlConnection"], "ordering")
    with engine.connect() as connection:
        found = connection.execute(statement).all()
    engine.dispose()
    return list(found)


def was_erased(api: Api, order_id: str) -> bool:
    return "OrderErasedV1" in [event["type"] for event in api.read(f"/orders/{order_id}/history")["events"]]


def ended(stack: Stack, customer_id: str) -> bool:
    of_theirs = ordering.CUSTOMERS.c.customer_id == UUID(customer_id)
    [row] = read(stack, sa.select(ordering.CUSTOMERS.c.erasure).where(of_theirs))
    return bool(row.erasure == ENDED)
