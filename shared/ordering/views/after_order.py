"""The parameter `after` of lists and summaries of orders: the version of an order for which they wait."""

from typing import Annotated

from shared.frame.platform.input import AFTER_SCHEMA, After, read_after

AfterOrder = Annotated[After, read_after("orderId"), AFTER_SCHEMA]
"""`<orderId>:<version>`, as a command answered it."""
