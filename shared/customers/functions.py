"""Customers: their commands and queries. The summary of a customer's orders belongs to ordering."""

from datetime import timedelta
from uuid import UUID

from shared.customers.commands.add_address import add_address, address_id
from shared.customers.commands.change_address import change_address
from shared.customers.commands.change_email import change_email
from shared.customers.commands.change_preferences import change_preferences
from shared.customers.commands.erase_customer import Erasures, withdraw_erasure
from shared.customers.commands.make_address_default import make_address_default
from shared.customers.commands.register_customer import register_customer
from shared.customers.commands.remove_address import remove_address
from shared.customers.commands.rename_customer import rename_customer
from shared.customers.events import CustomerEvent
from shared.customers.jobs.erase_customers import DueErasures
from shared.customers.tables import EVERY_TABLE, LOG, SCHEMA
from shared.customers.views.export import Exports
from shared.customers.views.profile import Profiles
from shared.frame.app import App
from shared.frame.context import Context
from shared.frame.platform.jobs import Tick
from shared.frame.platform.output import Answer
from shared.frame.routes import Created
from shared.roles import Role


class CustomerRegistered(Answer):
    """The id of the new customer."""

    customer_id: UUID


class AddressAdded(Answer):
    """The id of the new address."""

    address_id: UUID


def customers(app: App) -> Context[CustomerEvent]:
    """Declare the customers; nothing connects yet."""
    context = Context(app, SCHEMA, LOG, "customer-events", EVERY_TABLE)
    write = Role.CUSTOMERS_WRITE
    context.command(
        "post_customer",
        "POST customers",
        register_customer,
        role=write,
        created=Created(CustomerRegistered, "customers/{customerId}"),
    )
    context.command("post_customer_rename", "POST customers/{customerId}/rename", rename_customer, role=write, own=True)
    context.command("post_customer_email", "POST customers/{customerId}/email", change_email, role=write)  # ADR 12
    context.command(
        "post_customer_address",
        "POST customers/{customerId}/addresses",
        add_address,
        role=write,
        own=True,
        created=Created(AddressAdded, "customers/{customerId}", address_id),
    )
    address = "customers/{customerId}/addresses/{addressId}"
    context.command("put_customer_address", f"PUT {address}", change_address, role=write, own=True)
    context.command("delete_customer_address", f"DELETE {address}", remove_address, role=write, own=True)
    context.command(
        "post_customer_address_default", f"POST {address}/default", make_address_default, role=write, own=True
    )
    context.command(
        "put_customer_preferences", "PUT customers/{customerId}/preferences", change_preferences, role=write, own=True
    )

    grace = timedelta(hours=app.number_setting("ErasureGraceHours", 72, zero=True))
    erasures = Erasures(app.owner_data, grace)
    erase = Role.CUSTOMERS_ERASE
    context.command("post_customer_erase", "POST customers/{customerId}/erase", erasures.ask, role=erase)
    context.command(
        "post_customer_erase_withdraw", "POST customers/{customerId}/erase/withdraw", withdraw_erasure, role=erase
    )
    due = DueErasures(context.engine, context.writes, app.owner_data)
    context.job("erase_customers", due.keep_all, every=Tick.WATCH)

    profiles = Profiles(context.reader)
    read = Role.CUSTOMERS_READ
    context.table_query("get_customer", "customers/{customerId}", profiles.read_profile, role=read, own=True)
    context.table_query("get_customers", "customers", profiles.find_by_email, role=read, can_miss=True)
    context.owner_data(lambda _, customer_id, after: [customer_id] if after == UUID(int=0) else [])
    exports = Exports(app.owner_data)
    context.table_query(
        "get_customer_export", "customers/{customerId}/export", exports.read_export, role=read, own=True
    )
    return context
