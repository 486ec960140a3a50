"""Whom TLS connections to Service Bus trust."""

from ssl import PROTOCOL_TLS_CLIENT, SSLContext

import certifi


def trusted() -> SSLContext:
    """Trust whom the SDK trusts by itself, and as strictly, but read the certificates once for a client.

    The SDK reads them again for each connection, and its asynchronous client does so on the event loop, even where a
    connection is without TLS: 30 ms in which nobody else is served.
    """
    context = SSLContext(PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    return context
