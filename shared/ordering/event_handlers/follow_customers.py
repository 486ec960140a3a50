"""Follow the customers' events: keep ordering's copy of their names and addresses up to date."""

from typing import assert_never

from shared.customers.events import (
    CustomerAddress,
    CustomerAddressAddedV1,
    CustomerAddressChangedV1,
    CustomerAddressRemovedV1,
    CustomerDefaultAddressChangedV1,
    CustomerEmailChangedV1,
    CustomerErasedV1,
    CustomerErasureAskedV1,
    CustomerErasureWithdrawnV1,
    CustomerEvent,
    CustomerPreferencesChangedV1,
    CustomerRegisteredV1,
    CustomerRenamedV1,
)
from shared.frame.messaging.envelope import Recorded
from shared.frame.messaging.event_types import EventTypes
from shared.frame.write_side.unit_of_work import UnitOfWork
from shared.ordering.events import Address
from shared.ordering.reference_data import ReferenceData

FOLLOWED = EventTypes.all_but(
    CustomerEmailChangedV1, CustomerPreferencesChangedV1, CustomerErasureAskedV1, CustomerErasureWithdrawnV1
)
"""The customers' events that orders use. Until an erasure is carried out, the customer may order as before."""


def follow_customer(recorded: Recorded[CustomerEvent], work: UnitOfWork) -> None:  # noqa: C901  # as many events
    """Apply one event to the copy.

    Committing raises NotCopiedYet if the first event of the customer, or of the address, has not arrived.
    """
    event, version = recorded.event, recorded.envelope.version
    reference = ReferenceData(work)
    match event:
        case CustomerRegisteredV1():
            reference.add_customer(event.customer_id, event.name, version)
        case CustomerRenamedV1():
            reference.rename_customer(event.customer_id, event.name, version)
        case CustomerAddressAddedV1():
            reference.add_address(event.customer_id, event.address_id, _address(event.address), version)
            if event.is_default:
                reference.change_default_address(event.customer_id, event.address_id, version)
        case CustomerAddressChangedV1():
            reference.change_address(event.customer_id, event.address_id, _address(event.address), version)
        case CustomerAddressRemovedV1():
            reference.change_address(event.customer_id, event.address_id, None, version)
            if event.was_default:
                reference.change_default_address(event.customer_id, None, version)
        case CustomerDefaultAddressChangedV1():
            reference.change_default_address(event.customer_id, event.address_id, version)
        case CustomerErasedV1():
            reference.erase_customer(event.customer_id, version)
        case (
            CustomerEmailChangedV1()
            | CustomerPreferencesChangedV1()
            | CustomerErasureAskedV1()
            | CustomerErasureWithdrawnV1()
        ):
            pass  # not FOLLOWED
        case _:
            assert_never(event)


def _address(kept: CustomerAddress) -> Address:
    return Address(kept.street, kept.city, kept.postal_code, kept.region, kept.country)
