"""The refusals that clients understand: AMQP error conditions and the status codes of management replies.

The conditions are those that the Azure SDKs map to their exceptions; see
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response.
"""


class ServiceBusError(Exception):
    """An operation that the engine refuses.

    Attributes:
        condition: the AMQP error condition, for example `amqp:not-found`.
        description: a sentence for the person who reads the client's exception.
        status: the HTTP-like code of a management reply.
    """

    def __init__(self, condition: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.condition = condition
        self.description = description
        self.status = status


def entity_not_found(address: str) -> ServiceBusError:
    """No queue, topic or subscription has the address."""
    return ServiceBusError("amqp:not-found", f"The messaging entity '{address}' could not be found.", 404)


def message_not_found(sequence: int) -> ServiceBusError:
    """No message that the operation could take has the number."""
    return ServiceBusError("com.microsoft:message-not-found", f"There is no such message: {sequence}.", 404)


def message_lock_lost() -> ServiceBusError:
    """The delivery's lock ran out, or the message is gone."""
    return ServiceBusError(
        "com.microsoft:message-lock-lost",
        "The lock supplied is invalid. Either the lock expired, or the message has already been removed.",
        410,
    )


def session_lock_lost(session_id: str) -> ServiceBusError:
    """The caller does not hold the session."""
    return ServiceBusError(
        "com.microsoft:session-lock-lost",
        f"The lock on the session '{session_id}' has expired or is not held by this connection.",
        410,
    )


def session_cannot_be_locked(session_id: str) -> ServiceBusError:
    """Another receiver holds the session."""
    return ServiceBusError(
        "com.microsoft:session-cannot-be-locked",
        f"The session '{session_id}' is locked by another receiver.",
        409,
    )


def no_session_available() -> ServiceBusError:
    """The wait for the next session was in vain."""
    return ServiceBusError("com.microsoft:timeout", "No session with messages became available in time.", 408)


def message_too_large(size: int, limit: int) -> ServiceBusError:
    """A transfer exceeds the limit; both in bytes."""
    return ServiceBusError(
        "amqp:link:message-size-exceeded",
        f"The transfer has {size} bytes and the limit is {limit} bytes.",
        413,
    )


def not_allowed(description: str) -> ServiceBusError:
    """The entity does not do this."""
    return ServiceBusError("amqp:not-allowed", description, 400)


def not_implemented(description: str) -> ServiceBusError:
    """Service Bus does this, this engine does not."""
    return ServiceBusError("amqp:not-implemented", description, 501)


def no_transactions() -> ServiceBusError:
    """A client wants a transaction."""
    return not_implemented("Transactions are not supported by this engine: send and settle without one.")


def malformed(description: str) -> ServiceBusError:
    """The bytes do not have the expected form."""
    return ServiceBusError("amqp:decode-error", description, 400)


def invalid_argument(description: str) -> ServiceBusError:
    """A value is outside its limits."""
    return ServiceBusError("com.microsoft:argument-error", description, 400)
