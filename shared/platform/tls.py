"""Whom TLS connections to Service Bus trust."""

from ssl import PROTOCOL_TLS_CLIENT, SSLContext

import certifi


def trusted() -> SSLContext:
    """Trust whom the SDK trusts by itself, but read the certificates once for a client.

    The SDK reads them again for each connection, even if that is without TLS: 30 ms in which nothing else happens in
    the process.
    """
    context = SSLContext(PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    return context
