"""host.json and local.settings.json, read as Core Tools reads them, and the substitution of ``%SETTING%``.

The formats are those of https://learn.microsoft.com/azure/azure-functions/functions-host-json and
https://learn.microsoft.com/azure/azure-functions/functions-develop-local#local-settings-file.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

UNLIMITED = -1
"""The value in host.json for "no limit"."""

_TIME_SPAN = re.compile(r"(?:(?P<d>\d+)\.)?(?P<h>\d{1,2}):(?P<m>[0-5]?\d):(?P<s>[0-5]?\d(?:\.\d{1,7})?)")
_PLACEHOLDER = re.compile(r"%([^%\s]+)%")
_HTTP_KEYS = {"routePrefix", "maxOutstandingRequests", "maxConcurrentRequests", "dynamicThrottlesEnabled", "hsts"}
_SERVICE_BUS_KEYS = {
    "autoCompleteMessages",
    "clientRetryOptions",
    "maxAutoLockRenewalDuration",
    "maxConcurrentCalls",
    "maxConcurrentSessions",
    "maxMessageBatchSize",
    "maxBatchWaitTime",
    "minMessageBatchSize",
    "prefetchCount",
    "sessionIdleTimeout",
}
_LEVELS = {
    "trace": "DEBUG",
    "debug": "DEBUG",
    "information": "INFO",
    "warning": "WARNING",
    "error": "ERROR",
    "critical": "CRITICAL",
    "none": "CRITICAL",
}


class SettingsError(Exception):
    """The function app cannot be run as it is configured; the message says what to change."""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """``extensions.http`` of host.json; a limit of -1 means none, the default outside the Consumption plan."""

    route_prefix: str = "api"
    max_outstanding_requests: int = UNLIMITED
    max_concurrent_requests: int = UNLIMITED


@dataclass(frozen=True, slots=True)
class ServiceBusOptions:
    """``extensions.serviceBus`` of host.json with the defaults of the extension's version 5."""

    max_concurrent_calls: int = 16
    max_concurrent_sessions: int = 8
    session_idle_timeout: timedelta = timedelta(minutes=1)
    max_auto_lock_renewal: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class HostOptions:
    """The parts of host.json that mean something on a laptop."""

    http: HttpOptions = field(default_factory=HttpOptions)
    service_bus: ServiceBusOptions = field(default_factory=ServiceBusOptions)
    log_level: str = "INFO"
    function_timeout: timedelta | None = timedelta(minutes=30)
    """None: no limit, which host.json writes as -1."""


def read_host_json(app_dir: Path) -> HostOptions:
    """Read host.json; without the file every default applies.

    Raises:
        SettingsError: The file does not fit the host's schema, or needs a feature that this host lacks.
    """
    document = _read_json(app_dir / "host.json")
    if document and document.get("version") != "2.0":
        raise SettingsError('host.json: "version" must be "2.0"')
    extensions = _section(document, "extensions")
    level = str(_section(_section(document, "logging"), "logLevel").get("default", "Information"))
    if level.lower() not in _LEVELS:
        raise SettingsError(f"host.json: logging.logLevel.default: {level!r} is not a level")
    return HostOptions(
        http=_http_options(_section(extensions, "http")),
        service_bus=_service_bus_options(_section(extensions, "serviceBus")),
        log_level=_LEVELS[level.lower()],
        function_timeout=_function_timeout(document),
    )


def log_levels(settings: Mapping[str, str]) -> dict[str, str]:
    """Return levels by the names of loggers, as settings override those of host.json; "" is all others.

    https://learn.microsoft.com/azure/azure-functions/functions-host-json#override-hostjson-values

    Raises:
        SettingsError: One is no level.
    """
    prefix = "AzureFunctionsJobHost__logging__logLevel__"
    given = {name.removeprefix(prefix): level for name, level in settings.items() if name.startswith(prefix)}
    for category, level in given.items():
        if level.lower() not in _LEVELS:
            raise SettingsError(f"{prefix}{category}: {level!r} is not a level")
    return {"" if name == "default" else name: _LEVELS[level.lower()] for name, level in given.items()}


def load_local_settings(app_dir: Path) -> None:
    """Turn ``Values`` of local.settings.json into environment variables; variables that are set already win.

    Raises:
        SettingsError: The file is encrypted, not valid, or meant for another language's worker.
    """
    document = _read_json(app_dir / "local.settings.json")
    if document.get("IsEncrypted", False):
        raise SettingsError(
            "local.settings.json is encrypted: run `func settings decrypt`, this host reads plain values"
        )
    if document.get("ConnectionStrings"):
        raise SettingsError("local.settings.json: ConnectionStrings is not supported, put the setting into Values")
    values = _section(document, "Values")
    wrong = sorted(name for name, value in values.items() if not isinstance(value, str))
    if wrong:
        raise SettingsError(f"local.settings.json: these Values must be strings: {', '.join(wrong)}")
    for name, value in values.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")  # as Core Tools
    runtime = os.environ.setdefault("FUNCTIONS_WORKER_RUNTIME", "python")
    if runtime.lower() != "python":
        raise SettingsError(f"FUNCTIONS_WORKER_RUNTIME is {runtime!r}: this host runs python apps only")


def substitute(bindings: Mapping[str, list[dict[str, Any]]], environ: Mapping[str, str]) -> None:
    """Replace every ``%SETTING%`` in the strings of each function's bindings, in place.

    Raises:
        SettingsError: Settings are missing; the message names all of them, each with its functions.
    """
    missing: dict[str, set[str]] = {}
    for function, of_function in bindings.items():
        for binding in of_function:
            for key, value in binding.items():
                if isinstance(value, str):
                    for name in _PLACEHOLDER.findall(value):
                        if name not in environ:
                            missing.setdefault(name, set()).add(function)
                    binding[key] = _PLACEHOLDER.sub(lambda match: environ.get(match[1], ""), value)
    if missing:
        names = "; ".join(f"{name} (used by {', '.join(sorted(users))})" for name, users in sorted(missing.items()))
        raise SettingsError(f"settings that bindings refer to are missing: {names}")


def parse_time_span(text: str) -> timedelta | None:
    """Read a .NET TimeSpan (``[days.]hh:mm:ss[.fraction]``); None when the text is not one."""
    match = _TIME_SPAN.fullmatch(text.strip())
    if not match:
        return None
    days, hours, minutes, seconds = match.group("d", "h", "m", "s")
    return timedelta(days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def _function_timeout(document: Mapping[str, Any]) -> timedelta | None:
    written = str(document.get("functionTimeout", "00:30:00"))
    if written == str(UNLIMITED):
        return None
    span = parse_time_span(written)
    if not span:
        raise SettingsError(f"host.json: functionTimeout must be hh:mm:ss or -1, not {written!r}")
    return span


def _http_options(section: Mapping[str, Any]) -> HttpOptions:
    _refuse_unknown("extensions.http", section, _HTTP_KEYS)
    prefix = section.get("routePrefix", "api")
    if not isinstance(prefix, str):
        raise SettingsError("host.json: extensions.http.routePrefix must be a string")
    return HttpOptions(
        route_prefix=prefix.strip("/"),
        max_outstanding_requests=_limit("extensions.http", section, "maxOutstandingRequests"),
        max_concurrent_requests=_limit("extensions.http", section, "maxConcurrentRequests"),
    )


def _service_bus_options(section: Mapping[str, Any]) -> ServiceBusOptions:
    name = "extensions.serviceBus"
    _refuse_unknown(name, section, _SERVICE_BUS_KEYS)
    if section.get("autoCompleteMessages", True) is not True:
        raise SettingsError(
            f"host.json: {name}.autoCompleteMessages: false is not supported: there is no settlement client here"
        )
    default = ServiceBusOptions()
    return ServiceBusOptions(
        max_concurrent_calls=_positive(name, section, "maxConcurrentCalls", default.max_concurrent_calls),
        max_concurrent_sessions=_positive(name, section, "maxConcurrentSessions", default.max_concurrent_sessions),
        session_idle_timeout=_duration(name, section, "sessionIdleTimeout", default.session_idle_timeout),
        max_auto_lock_renewal=_duration(name, section, "maxAutoLockRenewalDuration", default.max_auto_lock_renewal),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SettingsError(f"{path.name} is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise SettingsError(f"{path.name} must be a JSON object")
    return document


def _section(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    section = document.get(key) or {}
    if not isinstance(section, dict):
        raise SettingsError(f"{key} must be a JSON object")
    return section


def _refuse_unknown(name: str, section: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(section.keys() - known)
    if unknown:
        raise SettingsError(f"host.json: {name}: this host does not know {', '.join(unknown)}")


def _limit(name: str, section: Mapping[str, Any], key: str) -> int:
    value = section.get(key, UNLIMITED)
    return UNLIMITED if value == UNLIMITED else _positive(name, section, key, UNLIMITED)


def _positive(name: str, section: Mapping[str, Any], key: str, default: int) -> int:
    value = section.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingsError(f"host.json: {name}.{key} must be a positive whole number, not {value!r}")
    return value


def _duration(name: str, section: Mapping[str, Any], key: str, default: timedelta) -> timedelta:
    if key not in section:
        return default
    span = parse_time_span(str(section[key]))
    if span is None:
        raise SettingsError(f"host.json: {name}.{key} must be hh:mm:ss, not {section[key]!r}")
    return span
