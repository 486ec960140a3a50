"""The certificates that TLS connections to Service Bus trust."""

from ssl import PROTOCOL_TLS_CLIENT, SSLContext

import certifi


def trusted() -> SSLContext:
    """Trust the same certificates as the SDK, and as strictly, but read them once for a client.

    The SDK reads them again for each connection. Its asynchronous client does so on the event loop, even for a
    connection without TLS, and blocks all requests for 30 ms.
    """
    context = SSLContext(PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certifi.where())
    return context
