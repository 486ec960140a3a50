"""What tells a subscription that is closed from a Service Bus that is away, by the SDK's own errors."""

import logging

import pytest
from azure.servicebus._common.constants import ERROR_CODE_ENTITY_DISABLED
from azure.servicebus._pyamqp.error import (
    AMQPConnectionError,
    AMQPException,
    AMQPLinkError,
    AuthenticationException,
    ErrorCondition,
    TokenAuthFailure,
)
from azure.servicebus._transport._pyamqp_transport import PyamqpTransport

from shared.frame.messaging.dead_letters import closed_because
from shared.frame.messaging.topics import is_unreachable


def raised_for(error: AMQPException) -> Exception:
    """What the SDK raises for an error of the protocol."""
    return PyamqpTransport.create_servicebus_exception(logging.getLogger(__name__), error)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (AMQPLinkError(ErrorCondition.NotFound), "it does not exist"),
        (AMQPLinkError(ERROR_CODE_ENTITY_DISABLED), "it is disabled"),
        (AMQPLinkError(ErrorCondition.UnauthorizedAccess), "it is forbidden"),
        (
            TokenAuthFailure(401, b"'Listen' claim(s) are required"),  # type: ignore[no-untyped-call]  # the SDK's own
            "the token is refused with status 401",
        ),
    ],
)
def test_what_only_a_deployment_mends_is_no_outage(error: AMQPException, why: str) -> None:
    assert closed_because(raised_for(error)) == why


@pytest.mark.parametrize(
    "error",
    [
        AMQPConnectionError(ErrorCondition.NotFound),
        AMQPConnectionError(ErrorCondition.ConnectionCloseForced),
        AuthenticationException(ErrorCondition.ClientError, description="the connection broke off in its handshake"),
    ],
)
def test_what_passes_is_an_outage(error: AMQPException) -> None:
    assert closed_because(raised_for(error)) is None
    assert is_unreachable(raised_for(error))
