"""Orders as a plain CRUD service: FastAPI, SQLAlchemy's ORM and SQLite, one model for reads and writes.

Written as the documentation of both shows it: `def` endpoints, a session for each request, relationships loaded with
the query that needs them. SQLite has the same journal and the same care for the disk as Tandem's databases.
Run it with `python -m tests.bench.peers.crud --database FILE --port 0`.
"""

import argparse
import socket
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID, uuid4

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Response
from pydantic import BaseModel, Field
from sqlalchemy import Engine, ForeignKey, Numeric, String, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship, selectinload

from tests.bench.latency import delay_sql
from tests.support.counting import STATEMENT_BY_STATEMENT

LOCK_TIMEOUT = 60
"""Seconds that a writer waits for SQLite's one lock: with the driver's five, some of 64 clients get an error."""

CONNECTIONS = 40
"""One for each of FastAPI's threads: with SQLAlchemy's five and ten more, 64 clients can bring all threads to wait for
connections that requests without a thread hold, until the pool gives up after half a minute."""


class Base(DeclarativeBase):
    """The model."""


class Customer(Base):
    """Somebody who orders."""

    __tablename__ = "customers"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254))


class Product(Base):
    """Something on offer."""

    __tablename__ = "products"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    unit_price: Mapped[Decimal] = mapped_column(Numeric(19, 4, asdecimal=True))
    currency: Mapped[str] = mapped_column(String(3))


class OrderLine(Base):
    """One product of an order."""

    __tablename__ = "order_lines"
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id"), primary_key=True)
    number: Mapped[int]
    quantity: Mapped[int]
    unit_price: Mapped[Decimal] = mapped_column(Numeric(19, 4, asdecimal=True))
    product: Mapped[Product] = relationship()


class Order(Base):
    """An order."""

    __tablename__ = "orders"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customers.id"), index=True)
    status: Mapped[str] = mapped_column(String(20))
    street: Mapped[str] = mapped_column(String(200))
    city: Mapped[str] = mapped_column(String(100))
    postal_code: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime]
    customer: Mapped[Customer] = relationship()
    lines: Mapped[list[OrderLine]] = relationship(order_by=OrderLine.number)


class CustomerIn(BaseModel):
    """What a customer is made from."""

    customerId: UUID = Field(default_factory=uuid4)  # noqa: N815  # as Tandem's API writes it
    name: str = Field(min_length=1, max_length=200)
    email: str = Field(max_length=254)


class ProductIn(BaseModel):
    """What a product is made from."""

    productId: UUID = Field(default_factory=uuid4)  # noqa: N815
    name: str = Field(min_length=1, max_length=200)
    unitPrice: Decimal = Field(ge=0, max_digits=19, decimal_places=4)  # noqa: N815
    currency: str = Field(pattern="^[A-Z]{3}$")


class ItemIn(BaseModel):
    """What a line is made from."""

    productId: UUID  # noqa: N815
    quantity: int = Field(ge=1, le=1_000_000)


class AddressIn(BaseModel):
    """Where the order goes."""

    street: str = Field(min_length=1, max_length=200)
    city: str = Field(min_length=1, max_length=100)
    postalCode: str = Field(min_length=1, max_length=20)  # noqa: N815


class OrderIn(BaseModel):
    """What an order is made from."""

    orderId: UUID = Field(default_factory=uuid4)  # noqa: N815
    customerId: UUID  # noqa: N815
    items: list[ItemIn] = Field(max_length=1_000)
    shippingAddress: AddressIn  # noqa: N815


class ItemOut(BaseModel):
    """A line as it is shown."""

    productId: UUID  # noqa: N815
    productName: str  # noqa: N815
    quantity: int
    unitPrice: Decimal  # noqa: N815
    amount: Decimal


class OrderOut(BaseModel):
    """An order as it is shown."""

    orderId: UUID  # noqa: N815
    customerId: UUID  # noqa: N815
    customerName: str  # noqa: N815
    status: str
    total: Decimal
    items: list[ItemOut]
    shippingAddress: AddressIn  # noqa: N815
    createdAt: datetime  # noqa: N815


def service(engine: Engine) -> FastAPI:
    """Make the service; its tables are made if they are not there."""
    Base.metadata.create_all(engine)
    app = FastAPI()

    def get_session() -> Iterator[Session]:
        with Session(engine) as session:
            yield session

    Opened = Annotated[Session, Depends(get_session)]  # noqa: N806  # a type, as FastAPI's documentation names it

    @app.post("/customers", status_code=201)
    def create_customer(customer: CustomerIn, session: Opened) -> None:
        session.add(Customer(id=customer.customerId, name=customer.name, email=customer.email))
        session.commit()

    @app.post("/products", status_code=201)
    def create_product(product: ProductIn, session: Opened) -> None:
        session.add(
            Product(id=product.productId, name=product.name, unit_price=product.unitPrice, currency=product.currency)
        )
        session.commit()

    @app.post("/orders", status_code=201)
    def create_order(order: OrderIn, session: Opened, response: Response) -> dict[str, UUID]:
        customer = session.get(Customer, order.customerId)
        wanted = {item.productId for item in order.items}
        products = {product.id: product for product in session.scalars(select(Product).where(Product.id.in_(wanted)))}
        if customer is None or products.keys() != wanted:
            raise HTTPException(422, "unknown customer or product")
        address = order.shippingAddress
        session.add(
            Order(
                id=order.orderId,
                customer_id=order.customerId,
                status="Created",
                street=address.street,
                city=address.city,
                postal_code=address.postalCode,
                created_at=datetime.now(UTC),
                lines=[
                    OrderLine(
                        product_id=item.productId,
                        number=number,
                        quantity=item.quantity,
                        unit_price=products[item.productId].unit_price,
                    )
                    for number, item in enumerate(order.items, 1)
                ],
            )
        )
        session.commit()
        response.headers["Location"] = f"/orders/{order.orderId}"
        return {"orderId": order.orderId}

    @app.get("/orders/{order_id}")
    def get_order(order_id: UUID, session: Opened) -> OrderOut:
        order = session.get(
            Order,
            order_id,
            options=[joinedload(Order.customer), selectinload(Order.lines).joinedload(OrderLine.product)],
        )
        if order is None:
            raise HTTPException(404)
        return OrderOut(
            orderId=order.id,
            customerId=order.customer_id,
            customerName=order.customer.name,
            status=order.status,
            total=sum((line.quantity * line.unit_price for line in order.lines), Decimal(0)),
            items=[
                ItemOut(
                    productId=line.product_id,
                    productName=line.product.name,
                    quantity=line.quantity,
                    unitPrice=line.unit_price,
                    amount=line.quantity * line.unit_price,
                )
                for line in order.lines
            ],
            shippingAddress=AddressIn(street=order.street, city=order.city, postalCode=order.postal_code),
            createdAt=order.created_at,
        )

    return app


def main() -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers.crud")
    parser.add_argument("--database", required=True, help="SQLite file")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    options = parser.parse_args()
    delay_sql()
    engine = create_engine(
        f"sqlite:///{options.database}",
        pool_size=CONNECTIONS,
        connect_args={"timeout": LOCK_TIMEOUT},
        execution_options={STATEMENT_BY_STATEMENT: True},
    )

    @event.listens_for(engine, "connect")
    def _as_tandem(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    with socket.create_server(("127.0.0.1", options.port)) as listener:
        print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)  # noqa: T201
        uvicorn.Server(uvicorn.Config(service(engine), access_log=False, log_level="warning")).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
