"""What lists and summaries of orders wait for, in their parameter `after`."""

from typing import Annotated

from shared.frame.platform.input import AFTER_SCHEMA, After, read_after

AfterOrder = Annotated[After, read_after("orderId"), AFTER_SCHEMA]
"""`<orderId>:<version>`, as a command answered it."""
