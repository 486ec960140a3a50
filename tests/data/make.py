"""`python -m tests.data.make COMMIT`: make a data folder with the system of a commit, and keep it as an archive.

The system of that commit is started by its own `infra.local.up`, in this interpreter and with the packages of today; a
shop does a few things through its HTTP API, and a view is rebuilt where that commit can. What is left when the stack
has ended is kept: small, and whole.
"""

import argparse
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import httpx

from infra.local.issuer import issue
from shared.roles import Role

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CUSTOMERS = ["11111111-1111-4111-8111-111111111111", "11111111-1111-4111-8111-222222222222"]
PRODUCTS = ["22222222-2222-4222-8222-111111111111", "22222222-2222-4222-8222-222222222222"]
ORDERS = [f"33333333-3333-4333-8333-{number:012d}" for number in range(1, 7)]
"""The orders: created, changed, submitted, confirmed, cancelled, and one of the second customer."""


def main() -> None:
    """Make it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit")
    commit = parser.parse_args().commit
    with tempfile.TemporaryDirectory(prefix="tandem-made-") as scratch:
        source, data = Path(scratch, "source"), Path(scratch, "data")
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(source, filter="data")
        with _running(source, data) as base_url:
            _play(base_url, data)
        _keep(data, HERE / f"{commit}.tar.xz")


@contextmanager
def _running(source: Path, data: Path) -> Iterator[str]:
    ports = ["--port", "0", "--servicebus-port", "0", "--cosmos-port", "0", "--payments-port", "0"]
    command = [sys.executable, "-m", "infra.local.up", "--data", str(data), *ports]
    with subprocess.Popen(command, cwd=source) as supervisor:
        try:
            yield _ready(supervisor, data)
        finally:
            supervisor.terminate()
            supervisor.wait(60)


def _ready(supervisor: "subprocess.Popen[bytes]", data: Path) -> str:
    while supervisor.poll() is None:
        time.sleep(0.2)
        try:
            stack: dict[str, Any] = json.loads((data / "stack.json").read_text())
        except FileNotFoundError:
            continue
        if stack.get("seconds_to_ready"):
            return str(stack["base_url"])
    raise SystemExit("The system of that commit did not start.")


def _play(base_url: str, data: Path) -> None:  # noqa: C901  # a day of a shop, from above to below
    headers = {}
    if (data / "token.key").exists():
        headers["Authorization"] = f"Bearer {issue((data / 'token.key').read_text(), Role)}"
    with httpx.Client(base_url=f"{base_url}/api", headers=headers, timeout=60, trust_env=False) as http:

        def do(path: str, **content: Any) -> None:
            key = str(uuid5(NAMESPACE_URL, f"{path} {json.dumps(content, sort_keys=True)}"))
            for _ in range(100):
                answer = http.post(path, json=content, headers={"Idempotency-Key": key})
                if answer.status_code != httpx.codes.UNPROCESSABLE_ENTITY:  # ordering has not heard of it yet
                    break
                time.sleep(0.1)
            if answer.is_error:
                raise SystemExit(f"{path}: {answer.text}")

        for number, customer in enumerate(CUSTOMERS):
            do("/customers", customerId=customer, name=f"Customer {number}", email=f"someone.{number}@example.com")
        for number, product in enumerate(PRODUCTS):
            do(
                "/products",
                productId=product,
                name=f"Product {number}",
                description="Kept",
                unitPrice=f"{number + 1}.50",
                currency="EUR",
                category="kept",
            )
        for number, order in enumerate(ORDERS):
            do(
                "/orders",
                orderId=order,
                customerId=CUSTOMERS[order == ORDERS[-1]],
                items=[{"productId": PRODUCTS[0], "quantity": number + 1}],
                shippingAddress={"street": "Kept Street 1", "city": "Kept", "postalCode": "1"},
            )
        do(f"/orders/{ORDERS[1]}/items", productId=PRODUCTS[1], quantity=2)
        for order in ORDERS[2:5]:
            do(f"/orders/{order}/submit")
        do(f"/orders/{ORDERS[3]}/confirm")
        do(f"/orders/{ORDERS[4]}/cancel", reason="kept")
        do(f"/products/{PRODUCTS[0]}/rename", name="Renamed product")
        do(f"/products/{PRODUCTS[1]}/price", unitPrice="3.50")
        do(f"/customers/{CUSTOMERS[0]}/rename", name="Renamed customer")
        time.sleep(5)
        if http.get("/ops/projections").status_code == httpx.codes.OK:
            http.post("/ops/projections/orders/rebuild", json={}).raise_for_status()
            http.post("/ops/projections/products/check", json={}).raise_for_status()
            for _ in range(300):
                rebuild = http.get("/ops/projections/orders").json()["rebuild"]
                if rebuild["step"] == "done":
                    break
                time.sleep(1)
        for order in ORDERS:
            shown = http.get(f"/orders/{order}?customerId={CUSTOMERS[order == ORDERS[-1]]}")
            shown.raise_for_status()


def _keep(data: Path, file: Path) -> None:
    for name in ("stack.json", "stack.lock"):
        (data / name).unlink(missing_ok=True)
    with tempfile.NamedTemporaryFile() as draft:
        with tarfile.open(draft.name, "w:xz") as tar:
            tar.add(data, arcname=".")
        shutil.copyfile(draft.name, file)


if __name__ == "__main__":
    main()
