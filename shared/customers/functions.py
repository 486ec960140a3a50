"""The customers' way in: HTTP commands and the relay; what shoppers see of them is ordering's summary."""

from uuid import UUID

import azure.functions as func

from shared.customers.commands.register_customer import RegisterCustomer, register_customer
from shared.customers.commands.rename_customer import RenameCustomer, rename_customer
from shared.customers.repository import Customers
from shared.customers.tables import LOG, SCHEMA
from shared.platform.http.answers import created, done
from shared.platform.http.api import Api
from shared.platform.http.callers import Role
from shared.platform.http.requests import command_call
from shared.platform.outbox import Outbox
from shared.platform.output import Answer
from shared.platform.settings import Settings
from shared.platform.sql import context_engine
from shared.platform.write_side import WriteSide


class CustomerRegistered(Answer):
    """Which customer was made."""

    customer_id: UUID


def customers(settings: Settings) -> Api:
    """Wire customers up; nothing connects yet."""
    engine = context_engine(settings, SCHEMA)
    outbox = Outbox(settings, engine, LOG, SCHEMA, topic="customer-events")
    writes = WriteSide(engine, LOG, Customers, committed=outbox.wake)
    api = Api("customers")

    @api.command("POST", "customers", RegisterCustomer, role=Role.CUSTOMERS_WRITE, created=CustomerRegistered)
    def post_customer(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, RegisterCustomer)
        accepted = writes.run(register_customer, call.command, call.metadata)
        answer = CustomerRegistered(customer_id=accepted.aggregate_id)
        return created(accepted, answer, f"/api/customers/{accepted.aggregate_id}/summary")

    @api.command("POST", "customers/{customerId}/rename", RenameCustomer, role=Role.CUSTOMERS_WRITE)
    def post_customer_rename(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        call = command_call(req, context, RenameCustomer)
        return done(writes.run(rename_customer, call.command, call.metadata))

    @api.blueprint.timer_trigger(arg_name="timer", schedule="%RelaySchedule%")
    def relay_customer_events(timer: func.TimerRequest) -> None:
        outbox.sweep()

    return api
