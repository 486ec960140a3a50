"""The host as App Service authentication: it writes the principal of a valid token, and of nothing else."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest

from infra.local import issuer
from tests.support.host import HostProcess, running_host_process

APP = Path(__file__).parent / "apps" / "web"
KEY = "5e" * 32
SOMEBODY = UUID("5e3b7f0c-52a1-4f0e-8f11-7d8a9b0c1d2e")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    file = tmp_path_factory.mktemp("issuer") / "key"
    file.write_text(KEY)
    with running_host_process(APP, {}, "--issuer-key", str(file)) as host:
        yield host


def passed_on(host: HostProcess, headers: httpx.Headers | dict[str, str]) -> dict[str, str]:
    """The headers that the function gets to see."""
    answer = httpx.get(f"{host.url}/api/things/x", headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    seen: dict[str, str] = answer.json()["headers"]
    return seen


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def claims(**changes: Any) -> dict[str, Any]:
    """What the issuer writes; None leaves a claim out."""
    now = datetime.now(UTC)
    usual = {"iss": issuer.ISSUER, "aud": issuer.AUDIENCE, "iat": now, "nbf": now, "exp": now + timedelta(hours=1)}
    all_of_them = usual | {"oid": str(SOMEBODY), "roles": ["Ops"]} | changes
    return {name: value for name, value in all_of_them.items() if value is not None}


def test_a_valid_token_is_written_as_the_platform_writes_it(host: HostProcess) -> None:
    token = issuer.issue(KEY, ["Orders.Read", "Ops"], SOMEBODY)
    seen = passed_on(host, bearer(token))
    principal = json.loads(base64.b64decode(seen["x-ms-client-principal"]))
    assert principal["auth_typ"] == "aad"
    found = {(claim["typ"], claim["val"]) for claim in principal["claims"]}
    assert found > {
        ("http://schemas.microsoft.com/identity/claims/objectidentifier", str(SOMEBODY)),
        ("roles", "Ops"),
        ("roles", "Orders.Read"),
    }
    assert seen["authorization"] == f"Bearer {token}"


def test_the_name_of_the_scheme_is_taken_in_any_case(host: HostProcess) -> None:
    assert "x-ms-client-principal" in passed_on(host, {"Authorization": f"bEARER {jwt.encode(claims(), KEY, 'HS256')}"})


EARLIER = datetime.now(UTC) - timedelta(minutes=1)
REFUSED = {
    "expired": jwt.encode(claims(exp=EARLIER), KEY, "HS256"),
    "not valid yet": jwt.encode(claims(nbf=EARLIER + timedelta(hours=1)), KEY, "HS256"),
    "without an end": jwt.encode(claims(exp=None), KEY, "HS256"),
    "without a beginning": jwt.encode(claims(nbf=None), KEY, "HS256"),
    "unsigned": jwt.encode(claims(), "", "none"),
    "of another key": jwt.encode(claims(), KEY + "!", "HS256"),
    "of another algorithm": jwt.encode(claims(), KEY, "HS512"),
    "of another issuer": jwt.encode(claims(iss="https://login.microsoftonline.com/x/v2.0"), KEY, "HS256"),
    "for another API": jwt.encode(claims(aud="api://another"), KEY, "HS256"),
    "for nobody": jwt.encode(claims(aud=None), KEY, "HS256"),
    "with a broken signature": jwt.encode(claims(), KEY, "HS256")[:-4] + "AAAA",
    "without its signature": jwt.encode(claims(), KEY, "HS256").rpartition(".")[0] + ".",
    "nonsense": "nonsense",
    "endless nesting": base64.urlsafe_b64encode(b"[" * 20_000).decode() + ".e30.x",
}


@pytest.mark.parametrize("token", REFUSED.values(), ids=REFUSED)
def test_a_token_that_is_not_valid_names_nobody(host: HostProcess, token: str) -> None:
    assert "x-ms-client-principal" not in passed_on(host, bearer(token))


def test_two_tokens_at_once_name_nobody(host: HostProcess) -> None:
    token = jwt.encode(claims(), KEY, "HS256")
    headers = httpx.Headers([("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")])
    assert "x-ms-client-principal" not in passed_on(host, headers)


def test_another_scheme_names_nobody(host: HostProcess) -> None:
    assert "x-ms-client-principal" not in passed_on(host, {"Authorization": jwt.encode(claims(), KEY, "HS256")})


FORGED = issuer.principal(KEY, issuer.issue(KEY, ["Ops"]))


@pytest.mark.parametrize(
    "name",
    [
        "X-MS-CLIENT-PRINCIPAL",
        "x-ms-client-principal",
        "X-MS-CLIENT-PRINCIPAL-ID",
        "X-MS-CLIENT-PRINCIPAL-NAME",
        "X-MS-CLIENT-PRINCIPAL-IDP",
        "X-MS-TOKEN-AAD-ACCESS-TOKEN",
    ],
)
def test_what_only_the_platform_may_say_is_taken_from_callers(host: HostProcess, name: str) -> None:
    assert name.lower() not in passed_on(host, {name: FORGED})


def test_a_forged_principal_beside_a_valid_token_gives_way_to_the_tokens_own(host: HostProcess) -> None:
    token = issuer.issue(KEY, ["Orders.Read"], SOMEBODY)
    forged = [("X-MS-CLIENT-PRINCIPAL", FORGED), ("x-ms-client-principal", FORGED)]
    seen = passed_on(host, httpx.Headers([*forged, *bearer(token).items(), *forged]))
    assert seen["x-ms-client-principal"] == issuer.principal(KEY, token)


def test_a_host_without_an_issuer_takes_no_token_and_no_principal() -> None:
    with running_host_process(APP, {}) as host:
        seen = passed_on(host, bearer(issuer.issue(KEY, ["Ops"])) | {"X-MS-CLIENT-PRINCIPAL": FORGED})
    assert "x-ms-client-principal" not in seen
