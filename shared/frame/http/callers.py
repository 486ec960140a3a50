"""The caller of a request and their rights: the principal that App Service authentication adds, and its app roles.

The platform validates the token, takes away any principal header that came from outside and writes its own
(https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities). This header is all that is
trusted here, and in Azure only while that authentication is on.
"""

import base64
import functools
import json
import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from uuid import UUID

import azure.functions as func

from shared.frame.http.problems import Problem
from shared.frame.platform.callers import OPEN, Caller, Owners
from shared.frame.platform.settings import is_unguarded
from shared.kernel.refusals import Unavailable

logger = logging.getLogger(__name__)

PRINCIPAL = "X-MS-CLIENT-PRINCIPAL"
"""The header: base64 of {"claims": [{"typ": ..., "val": ...}, ...], ...}."""

OBJECT_ID = frozenset({"http://schemas.microsoft.com/identity/claims/objectidentifier", "oid"})
ROLES = frozenset({"http://schemas.microsoft.com/ws/2008/06/identity/claims/role", "roles"})
"""The types of these claims in the header. The platform renames some claims, and roles only sometimes
(https://github.com/Azure/static-web-apps/issues/655)."""

SESSION = "AppServiceAuthSession"
"""The beginning of the cookies' names that App Service authentication gives a signed-in browser."""

INTENT, CONSOLE = "X-Requested-With", "tandem-console"
"""The header that the console sends with every change, and its value. A page of another origin cannot send it: the
browser asks first (CORS), and the app allows no origin."""


def caller_of(req: func.HttpRequest) -> Caller:
    """Read the caller from the principal header.

    Raises:
        Problem: the header is missing, or names nobody (401).
        Unavailable: the app runs in Azure without authentication.
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


def admit(req: func.HttpRequest, role: str | None, owners: Owners | None = None, *, own: bool = False) -> None:
    """Admit a request to a route that needs this role; with `own`, owners may use the route too.

    Raises:
        Problem: the caller is unknown (401), or lacks the right (403).
    """
    if role is OPEN:
        return
    caller = caller_of(req)
    if owners is not None and owners.reach(caller) is not None:
        if not own:
            detail = f"This needs the role {role}, and is not for {owners.who}."
            raise Problem(HTTPStatus.FORBIDDEN, "forbidden", detail)
    elif role not in caller.roles:
        raise Problem(HTTPStatus.FORBIDDEN, "forbidden", f"This needs the role {role}.")


def require_intent(req: func.HttpRequest) -> None:
    """Refuse a change that another site's page may have made a browser send (cross-site request forgery).

    A browser adds its session cookie to any request, whichever page makes it send one. It adds no token by itself, so a
    request with a token is meant.

    Raises:
        Problem: 403, the request has a session cookie and does not come from our page.
    """
    if req.method in {"GET", "HEAD"} or req.headers.get(INTENT) == CONSOLE:
        return
    names = (each.strip().partition("=")[0] for each in re.split("[;,]", req.headers.get("Cookie", "")))
    if any(name.startswith(SESSION) for name in names):
        detail = f"A browser's session changes something only with the header {INTENT}: {CONSOLE}."
        raise Problem(HTTPStatus.FORBIDDEN, "anti-forgery", detail)


def require_guard() -> None:
    """Refuse to work in Azure without authentication, where every caller could write the principal header.

    Raises:
        Unavailable: authentication is off; the deployment has to be mended.
    """
    if is_unguarded():
        logger.error("App Service authentication is off: no caller can be trusted, and none is served")
        raise Unavailable(
            "authentication-off", "The platform does not authenticate callers at the moment, so none is served."
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
