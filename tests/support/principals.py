"""The principal header as the platform writes it, for tests that call the code without a host."""

import base64
import json
from uuid import UUID

from infra.local import issuer
from shared.frame.http.callers import PRINCIPAL
from shared.roles import CUSTOMER, Role

KEY = "a key of the tests that has enough bytes"


def shop(*roles: str) -> dict[str, str]:
    """The header of the shop's own caller with these roles; without any, with all of them."""
    return {PRINCIPAL: issuer.principal(KEY, issuer.issue(KEY, roles or Role))}


def customer(customer_id: UUID) -> dict[str, str]:
    """The header of a customer who acts for themselves."""
    return {PRINCIPAL: issuer.principal(KEY, issuer.issue(KEY, [CUSTOMER], customer_id))}


def written(principal: object) -> dict[str, str]:
    """The header with any content."""
    return {PRINCIPAL: base64.b64encode(json.dumps(principal).encode()).decode()}
