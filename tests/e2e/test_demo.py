"""The demo: right on a right system, and not fooled by a wrong one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from infra.local.demo.audit import Audit
from infra.local.demo.book import Book
from infra.local.demo.day import Day
from infra.local.demo.opening import open_shop
from infra.local.demo.rush import Rush
from infra.local.demo.shop import Shop, Surprise
from tests.support.stack import ROOT, Stack

SMALL = ("--orders", "25", "--customers", "4", "--products", "8", "--concurrency", "6")


def demo(*arguments: str | Path, scratch: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`dev.py demo`, with the temporary folder at `scratch`."""
    return subprocess.run(
        [sys.executable, "-m", "infra.local.demo", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        env=os.environ | {"TMPDIR": str(scratch)} if scratch else None,
    )


def test_it_plays_on_the_stack_that_runs_and_finds_everything_right(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    done = demo("--data", stack.data, "--json", file, *SMALL)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"At {stack.base_url}" in done.stdout
    assert "Everything is as the book says." in done.stdout
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert (figures["orders"], figures["wrong"]) == (25, [])
    assert figures["commands"] >= 25
    assert 0 < figures["lagP50Milliseconds"] <= figures["lagP99Milliseconds"]
    assert figures["compared"] == {"product": 8, "order": 25, "summary": 4, "list": 24, "rush": 24, "payments": 14}


def test_without_a_stack_it_starts_one_and_leaves_nothing_behind(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    done = demo("--data", tmp_path, *SMALL, "--seed", "2", scratch=scratch)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "starting a stack" in done.stdout
    assert list(scratch.iterdir()) == []
    assert list(tmp_path.iterdir()) == [scratch]


def test_where_there_is_no_shop_it_says_what_is_there_instead(stack: Stack) -> None:
    done = demo("--url", f"{stack.base_url}/nowhere", "--token", stack.token(), *SMALL)

    assert done.returncode == 1
    assert "should make version 1: 404" in done.stderr
    assert "Traceback" not in done.stderr


def nothing() -> None:
    """Take no notice of progress."""


async def test_the_audit_finds_every_kind_of_difference(stack: Stack) -> None:
    shop, book = Shop(stack.base_url, stack.token(), 4), Book()
    await open_shop(shop, book, seed=3, customers=3, products=8, at_once=4, advance=nothing)
    assert await Day(shop, book, seed=3).trade(range(12), 4, nothing) == []
    right = Audit(shop, book, 4, nothing)
    await right.run()
    assert right.differences == []

    order = next(order for order in book.orders.values() if order.lines and order.status != "Cancelled")
    customer = book.customers[order.customer_id]
    customer.name += "!"
    line = next(iter(order.lines.values()))
    line.quantity += 1
    product = next(product for product in book.products.values() if product.product_id not in order.lines)
    product.prices[-1] += 1
    wrong = Audit(shop, book, 4, nothing, right_within=0)
    await wrong.run()
    await shop.close()

    found = "\n".join(wrong.differences)
    assert f"order {order.order_id}: /customerName should be {customer.name!r}" in found
    assert f"order {order.order_id}: /items/0/quantity should be {line.quantity}" in found
    assert f"order {order.order_id}: /total should be" in found
    assert f"summary {customer.customer_id}: /customerName" in found
    assert f"list of all orders of {customer.customer_id}: /items/" in found
    assert f"product {product.product_id}: /unitPrice" in found


async def test_a_rush_in_which_a_piece_is_promised_twice_is_told(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(stack.base_url, stack.token(), 8)
    monkeypatch.setattr("infra.local.demo.rush.HEARD_WITHIN", 5.0)
    rush = Rush(shop, 3, nothing)
    right = rush._inventory

    async def oversold(**level: int) -> None:
        await right(**level | {"reserved": level["reserved"] + 1})

    monkeypatch.setattr(rush, "_inventory", oversold)
    [told] = await rush.run()
    await shop.close()
    assert told.startswith("rush: inventory should be {'currentStock': 4, 'reserved': 5")


async def test_a_command_that_is_taken_although_it_must_be_refused_is_a_surprise(stack: Stack) -> None:
    shop = Shop(stack.base_url, stack.token(), 1)
    body = {"name": "Ada", "email": f"{uuid4()}@example.com"}
    with pytest.raises(Surprise, match="should be refused as order-status: 201"):
        await shop.refused("order-status", "/customers", body)
    body = {"name": "Ada", "email": f"{uuid4()}@example.com"}
    with pytest.raises(Surprise, match="should make version 2: 201"):
        await shop.accepted("/customers", body, version=2)
    await shop.close()
