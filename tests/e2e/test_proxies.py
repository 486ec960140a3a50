"""A computer with a proxy in its environment: what stays on the computer does not go through it."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.support.stack import ROOT, Stack, running_stack

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@contextmanager
def proxy() -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that only notes what it was asked for, and its port."""
    asked: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                asked.append(connection.recv(200))

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", asked
        server.shutdown(socket.SHUT_RDWR)


def environment(**more: str) -> dict[str, str]:
    """The tests' environment, but for what it says of proxies."""
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return plain | more


def ran(stack: Stack, where: dict[str, str], command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"infra.local.{command}", "--data", str(stack.data), *arguments],
        cwd=ROOT,
        env=where,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.parametrize(
    ("scheme", "names"), [("http", [name.lower() for name in PROXIES]), ("socks5", PROXIES)], ids=["http", "socks5"]
)
def test_everything_on_the_laptop_works_with_a_proxy_in_the_environment(scheme: str, names: Sequence[str]) -> None:
    small = ("--orders", "3", "--customers", "2", "--products", "4", "--concurrency", "2")
    with proxy() as (address, asked):
        where = environment(**dict.fromkeys(names, f"{scheme}://{address}"))
        with running_stack(environment=where) as stack:
            for command, *arguments in (("demo", *small), ("rebuild",), ("dead_letters",)):
                done = ran(stack, where, command, *arguments)
                assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stdout + done.stderr
        assert asked == []


def test_a_system_elsewhere_is_reached_through_the_proxy(stack: Stack) -> None:
    with proxy() as (address, asked):
        where = environment(HTTP_PROXY=f"http://{address}")
        done = ran(stack, where, "rebuild", "--url", "http://shop.example", "--token", "t")
        assert done.returncode == 1
        assert asked[0].startswith(b"GET http://shop.example/api/ops/projections ")


def test_what_is_excepted_from_the_proxy_already_stays_so() -> None:
    said = "import os, infra.local; print(os.environ.get('NO_PROXY'), os.environ.get('no_proxy'))"

    def exceptions(**more: str) -> str:
        command = [sys.executable, "-c", said]
        done = subprocess.run(command, cwd=ROOT, env=environment(**more), capture_output=True, text=True, check=True)
        return done.stdout.strip()

    loopback = "localhost,127.0.0.1,::1"
    assert exceptions(HTTP_PROXY="http://p:1") == f"{loopback} {loopback}"
    assert exceptions(http_proxy="http://p:1", NO_PROXY=".corp") == f".corp,{loopback} .corp,{loopback}"
    assert exceptions(http_proxy="http://p:1", no_proxy="a", NO_PROXY="b") == f"a,{loopback} a,{loopback}"
    assert exceptions(NO_PROXY=".corp") == ".corp None"
    assert exceptions(HTTP_PROXY="") == "None None"
