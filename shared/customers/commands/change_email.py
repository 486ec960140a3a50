"""Change a customer's e-mail address."""

from typing import Annotated

from shared.customers.repository import Customers
from shared.frame.messaging.envelope import Accepted
from shared.frame.platform.examples import example
from shared.frame.platform.input import Email, Id, Input
from shared.kernel.personal import PERSONAL
from shared.story import CUSTOMER_ID


class ChangeEmail(Input, json_schema_extra=example(customerId=CUSTOMER_ID, email="ada.king@example.com")):
    """Change a customer's e-mail address; no other one may be registered with it. Customers ask the shop."""

    customer_id: Id
    email: Annotated[Email, PERSONAL]


def change_email(command: ChangeEmail, customers: Customers) -> Accepted:
    """Change it; EmailTaken if another customer has it."""
    customer = customers.load(command.customer_id)
    customer.change_email(command.email)
    return customers.save(customer)
