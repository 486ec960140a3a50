"""Who may use the admin routes."""

import httpx
import pytest
from starlette.applications import Starlette

from infra.local.host.admin import admin_routes


async def _never(*_: object, **__: object) -> None:
    raise AssertionError


@pytest.mark.parametrize(
    ("caller", "status"), [("127.0.0.1", 200), ("::1", 200), ("192.0.2.7", 401), ("2001:db8::7", 401)]
)
async def test_admin_routes_answer_callers_on_this_machine_only(caller: str, status: int) -> None:
    transport = httpx.ASGITransport(Starlette(routes=admin_routes([], [], _never)), client=(caller, 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
        for path in ("/admin/functions", "/admin/host/status"):
            assert (await client.get(path)).status_code == status
