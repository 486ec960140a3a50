"""What Azure puts beside an app: an address that gives out its identities' tokens, and stores that speak TLS alone."""

import asyncio
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from unittest import mock
from urllib.parse import parse_qs, unquote, urlsplit

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.types import Receive, Scope, Send

from cosmos_engine.app import build
from cosmos_engine.definitions import check
from cosmos_engine.store import Store
from infra.local.containers import TOPOLOGY
from shared.frame.platform import identity

TOKEN_LIFE = 3_600
"""Seconds that a token is valid; clients ask for the next one in its last minutes."""

type Fault = Callable[[BaseHTTPRequestHandler], None]
"""What an endpoint does in place of answering."""


def hang_up(_asking: BaseHTTPRequestHandler) -> None:
    """Answer nothing, and end the connection."""


def throttle(asking: BaseHTTPRequestHandler) -> None:
    """Send it away, as one does that is asked too often."""
    asking.send_response(429)
    asking.send_header("Content-Type", "application/json")
    asking.end_headers()
    asking.wfile.write(b'{"statusCode": 429, "message": "too many requests"}')


def show_a_page(asking: BaseHTTPRequestHandler) -> None:
    """Answer as a proxy does whose server is gone."""
    asking.send_response(502)
    asking.send_header("Content-Type", "text/html")
    asking.end_headers()
    asking.wfile.write(b"<html>Bad Gateway</html>")


@dataclass
class IdentityEndpoint:
    """Where an app asks for tokens of its identities.

    Attributes:
        url: its address.
        asked: who was asked for what, by client id and resource; the n-th time it gave the token `token-n`.
        fault: what it does in place of answering.
    """

    url: str = ""
    fault: Fault | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def identity_endpoint() -> Iterator[IdentityEndpoint]:
    """Run one until the block ends; azure-identity finds it in this process's environment.

    The protocol is https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
    """
    endpoint = IdentityEndpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            assert self.headers["X-IDENTITY-HEADER"] == "header"
            endpoint.asked.append((asked["client_id"], asked["resource"]))
            if endpoint.fault is not None:
                endpoint.fault(self)
                return
            token = {
                "access_token": f"token-{len(endpoint.asked)}",
                "expires_on": str(int(time.time() + TOKEN_LIFE)),
                "resource": asked["resource"],
                "token_type": "Bearer",
            }
            body = json.dumps(token).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        endpoint.url = f"http://127.0.0.1:{server.server_port}/msi/token"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        environment = {
            "IDENTITY_ENDPOINT": endpoint.url,
            "IDENTITY_HEADER": "header",
            "AZURE_TOKEN_CREDENTIALS": "managedidentitycredential",  # not who signed in with az
        }
        try:
            with mock.patch.dict(os.environ, environment):
                yield endpoint
        finally:
            server.shutdown()


@contextmanager
def product_signs_in(*client_ids: str) -> Iterator[IdentityEndpoint]:
    """Let the product get its tokens from such an endpoint; the credentials of these identities end with the block."""
    with identity_endpoint() as endpoint:
        _forget_credentials()
        try:
            yield endpoint
        finally:
            for client_id in client_ids:
                identity.credential(client_id).close()
            _forget_credentials()


def _forget_credentials() -> None:
    identity.credential.cache_clear()
    identity.async_credential.cache_clear()


@dataclass(frozen=True)
class Certificate:
    """A certificate that signs itself, and so is the authority to trust as well."""

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """Let a server show it."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_certificate(folder: Path, host: str = "localhost") -> Certificate:
    """Write one into a folder, for a host; this computer's is for 127.0.0.1 too."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    addresses = [x509.IPAddress(ip_address("127.0.0.1"))] if host == "localhost" else []
    names = x509.SubjectAlternativeName([x509.DNSName(host), *addresses])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


@asynccontextmanager
async def cosmos_over_tls(certificate: Certificate, seen: list[str]) -> AsyncIterator[int]:
    """Run a Cosmos engine with the product's containers on this loop until the block ends; gives its port.

    Args:
        certificate: what it shows.
        seen: gets the header `authorization` of each request.
    """
    store = Store(":memory:")
    topology = json.loads(TOPOLOGY.read_text(encoding="utf-8"))
    store.create_database(topology["database"])
    [database] = store.databases()
    for wanted in topology["containers"]:
        paths = {"paths": [wanted["partitionKey"]], "kind": "Hash"}
        definition = {"id": wanted["id"], "partitionKey": paths, "indexingPolicy": wanted["indexingPolicy"]}
        store.create_container(database, check(definition))
    engine = build(store)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(unquote(dict(scope["headers"]).get(b"authorization", b"").decode()))
        await engine(scope, receive, send)

    config = uvicorn.Config(
        application,
        lifespan="off",
        log_config=None,
        access_log=False,
        ssl_certfile=certificate.certificate,
        ssl_keyfile=certificate.key,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await running
            store.close()


@asynccontextmanager
async def tls_in_front_of(port: int, certificate: Certificate, seen: bytearray) -> AsyncIterator[int]:
    """Let clients reach a port of this computer through TLS until the block ends; gives the port to use instead.

    Args:
        port: where the server listens that speaks in the clear.
        certificate: what clients are shown.
        seen: gets what clients send.
    """

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: bytearray) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                note += data
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, onward_writer, seen), carry(onward_reader, writer, bytearray()))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=certificate.server_context())
    async with server:
        yield server.sockets[0].getsockname()[1]
