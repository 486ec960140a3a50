"""Application Insights as its clients see it: what takes their telemetry, and how Azure's settings lead there."""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, override

FUNCTION_APP = Path(__file__).parents[2] / "infra" / "modules" / "function-app.bicep"


def settings(connection_string: str, scratch: Path) -> dict[str, str]:
    """The settings of an app in Azure that concern telemetry.

    Args:
        connection_string: where it goes.
        scratch: where the exporter keeps what it could not deliver.
    """
    deployed = FUNCTION_APP.read_text(encoding="utf-8")
    return {
        **dict(re.findall(r"^  ((?:OTEL|PYTHON_ENABLE)_\w+): '([^']+)'", deployed, re.MULTILINE)),
        "APPLICATIONINSIGHTS_CONNECTION_STRING": connection_string,
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "TMPDIR": str(scratch),
        # what the exporter tells Microsoft about itself, and asks it, has no place in a test
        "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
        "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    }


class Ingestion(ThreadingHTTPServer):
    """Takes what Application Insights would take."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.items: list[dict[str, Any]] = []

    @property
    def connection_string(self) -> str:
        """What leads to it."""
        key = "00000000-0000-4000-8000-000000000001"
        return f"InstrumentationKey={key};IngestionEndpoint=http://127.0.0.1:{self.server_port}/"

    def of(self, kind: str) -> list[dict[str, Any]]:
        """What has come of a kind."""
        return [item for item in self.items if item["data"]["baseType"] == kind]

    def metrics(self) -> set[str]:
        """The names of the metrics that have come."""
        return {metric["name"] for item in self.of("MetricData") for metric in item["data"]["baseData"]["metrics"]}


class _Handler(BaseHTTPRequestHandler):
    server: Ingestion

    def do_POST(self) -> None:
        """Take a delivery."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        items = json.loads(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        self.server.items += items
        answer = json.dumps({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def ingestion() -> Iterator[Ingestion]:
    """Such a server, on a free port."""
    with Ingestion() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
