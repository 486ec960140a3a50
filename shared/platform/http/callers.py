"""Who calls, and what they may do: the principal that App Service authentication puts beside a request, and app roles.

The platform validates the token, takes away any principal header that came from outside and writes its own
(https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities). This header is all that is
trusted here, and in Azure only while that authentication is on.
"""

import base64
import functools
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final
from uuid import UUID

import azure.functions as func

from shared.kernel.refusals import NotFound
from shared.platform.http.problems import RETRY_AFTER, Problem
from shared.platform.settings import is_unguarded

logger = logging.getLogger(__name__)

PRINCIPAL = "X-MS-CLIENT-PRINCIPAL"
"""The header: base64 of {"claims": [{"typ": ..., "val": ...}, ...], ...}."""

OBJECT_ID = frozenset({"http://schemas.microsoft.com/identity/claims/objectidentifier", "oid"})
ROLES = frozenset({"http://schemas.microsoft.com/ws/2008/06/identity/claims/role", "roles"})
"""What the platform calls these claims: it renames some on the way, and roles not always
(https://github.com/Azure/static-web-apps/issues/655)."""

CUSTOMER = "Customer"
"""The app role of customers who act for themselves. It takes away every other right."""

OPEN: Final = None
"""In place of a role: the route is open to everybody."""


class Role(StrEnum):
    """What a caller may do for the shop: the app roles of the API's registration (infra/app-roles.json)."""

    ORDERS_WRITE = "Orders.Write"
    ORDERS_READ = "Orders.Read"
    CATALOG_WRITE = "Catalog.Write"
    CATALOG_READ = "Catalog.Read"
    CUSTOMERS_WRITE = "Customers.Write"
    CUSTOMERS_READ = "Customers.Read"
    OPS = "Ops"


class NotTheirs(NotFound):
    """To a customer, other customers do not exist."""

    code = "customer-not-found"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whom the platform knows.

    Attributes:
        id: the object id in Entra ID, which never changes and belongs to nobody else.
        roles: the app roles that were assigned.
    """

    id: UUID
    roles: frozenset[str]

    @property
    def customer_id(self) -> UUID | None:
        """Whose data alone the caller reaches; None reaches everybody's. A customer's id is the caller's own."""
        return self.id if CUSTOMER in self.roles else None


def caller_of(req: func.HttpRequest) -> Caller:
    """Tell who calls.

    Raises:
        Problem: the platform names nobody (401), or does not guard the app (503).
    """
    require_guard()
    header = req.headers.get(PRINCIPAL)
    caller = _caller(header) if header else None
    if caller is None:
        if header:
            logger.warning("a principal header is not what the platform writes")
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "unauthenticated",
            "This needs a valid token: Authorization: Bearer <token>.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return caller


def admit(req: func.HttpRequest, role: Role | None, *, customers: bool) -> None:
    """Let a request pass to a route that needs this role, or that customers may use too.

    Raises:
        Problem: nobody is named (401), or somebody without the right (403).
    """
    if role is OPEN:
        return
    caller = caller_of(req)
    if caller.customer_id is None and role not in caller.roles:
        raise Problem(HTTPStatus.FORBIDDEN, "forbidden", f"This needs the role {role}.")
    if caller.customer_id is not None and not customers:
        raise Problem(HTTPStatus.FORBIDDEN, "forbidden", f"This needs the role {role}, and is not for customers.")


def require_guard() -> None:
    """Refuse to go on where everybody could write the principal header: in Azure without authentication.

    Raises:
        Problem: 503, until the deployment is mended.
    """
    if is_unguarded():
        logger.error("App Service authentication is off: no caller can be trusted, and none is served")
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "authentication-off",
            "The platform does not authenticate callers at the moment, so none is served.",
            headers={"Retry-After": str(RETRY_AFTER)},
        )


@functools.lru_cache(maxsize=256)
def _caller(header: str) -> Caller | None:
    try:
        claims = json.loads(base64.b64decode(header, validate=True))["claims"]
        [object_id] = _values(claims, OBJECT_ID)
        return Caller(UUID(object_id), _values(claims, ROLES))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _values(claims: list[Mapping[str, str]], types: frozenset[str]) -> frozenset[str]:
    return frozenset(claim["val"] for claim in claims if claim["typ"] in types)
