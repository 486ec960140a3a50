"""The trace context of an invocation, as the host makes it with OpenTelemetry (telemetryMode in host.json).

The real host exports its spans. This one only logs, at Debug, what hangs under what: to see it, set
`AzureFunctionsJobHost__logging__logLevel__host.traces=Debug`.
"""

import logging
import re
import secrets

log = logging.getLogger("host.traces")

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


def traceparent_of(caller: str | None) -> str:
    """Name a new span: under the caller's trace and sampled as it is, or else in a new trace that is sampled.

    Source: measured on the host. The form is https://www.w3.org/TR/trace-context/.
    """
    found = _TRACEPARENT.fullmatch(caller or "")
    trace, flags = found.groups() if found else (secrets.token_hex(16), "01")
    span = f"00-{trace}-{secrets.token_hex(8)}-{flags}"
    log.debug("%s under %s", span, found[0] if found else "nothing")
    return span
