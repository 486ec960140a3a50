"""ASP.NET route templates, as the functions host matches them.

The grammar and the constraints are those of
https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates. The order is not: as measured on the host,
routes are tried in the alphabetical order of their functions' names, however specific they are
(https://github.com/Azure/azure-functions-host/issues/9876). A path that matches with another method only is no match at
all (404, not 405), and HEAD and OPTIONS are methods like any other:
https://github.com/Azure/azure-functions-host/issues/11625 and .../issues/10098.
"""

import math
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from infra.local.host.rpc import Function
from infra.local.host.settings import SettingsError

_PARAMETER = re.compile(r"\{(?!\{)((?:[^{}]|\{\{|\}\})*)\}(?!\})")
_NAME = re.compile(r"(?P<star>\*{0,2})(?P<name>[A-Za-z_][\w-]*)(?P<rest>.*)", re.DOTALL)
_CONSTRAINT = re.compile(r":(?P<name>\w+)(?:\((?P<args>.*?)\)(?=[:?=]|$))?", re.DOTALL)

_ESCAPES = re.compile(rb"(?:%(?!2[Ff])[0-9A-Fa-f]{2})+")

type Check = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Route:
    """A template bound to a function: the methods it answers (none given: all) and how a path is matched."""

    template: str
    methods: frozenset[str]
    function: Function
    pattern: re.Pattern[str]
    names: tuple[str, ...]
    checks: tuple[tuple[int, Check], ...]
    defaults: Mapping[str, str]

    def match(self, path: str) -> dict[str, str] | None:
        """Return the route values of a path without its leading slash, or None; an optional value may lack."""
        found = self.pattern.fullmatch(path)
        if not found:
            return None
        values = found.groups()
        if any(values[index] and not check(values[index]) for index, check in self.checks):
            return None
        return {**self.defaults, **{name: value for name, value in zip(self.names, values, strict=True) if value}}


class RouteTable:
    """All routes of an app, by the names of their functions: ordinal, in upper case, so that `_` is behind letters."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = sorted(routes, key=lambda route: route.function.name.upper())
        self._refuse_ambiguity()

    def match(self, method: str, path: str) -> tuple[Function, dict[str, str]] | None:
        """Find the function for a method and a decoded path."""
        path = path.removeprefix("/").removesuffix("/")
        if "//" in f"{path}/":
            return None  # measured: an empty segment is a 404, whatever would take the rest
        for route in self.routes:
            if not route.methods or method in route.methods:
                values = route.match(path)
                if values is not None:
                    return route.function, values
        return None

    def _refuse_ambiguity(self) -> None:
        """Refuse what the real host takes: the second function could never be called."""
        seen: dict[tuple[str, str], str] = {}
        for route in self.routes:
            for method in route.methods or {"*"}:
                other = seen.setdefault((route.template.lower(), method), route.function.name)
                if other != route.function.name:
                    raise SettingsError(f"{other} and {route.function.name} both answer {method} /{route.template}")


def decode_path(raw_path: bytes) -> str:
    """Decode a path as Kestrel does: all but an escaped slash and what is no UTF-8; then resolve its dot segments."""
    path = _ESCAPES.sub(_decoded, raw_path).decode()
    resolved: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del resolved[-1:]
        elif segment != ".":
            resolved.append(segment)
    if segments[-1:] in (["."], [".."]):
        resolved.append("")
    return "/" + "/".join(resolved)


def _decoded(escapes: re.Match[bytes]) -> bytes:
    """Decode escapes that follow one another as far as they are UTF-8, and leave the others as they came."""
    run, decoded, at = escapes[0], b"", 0
    for character in bytes.fromhex(run.replace(b"%", b"").decode()).decode("utf-8", "surrogateescape"):
        stays = "\udc80" <= character <= "\udcff"
        length = 1 if stays else len(character.encode())
        decoded += run[3 * at : 3 * (at + 1)] if stays else character.encode()
        at += length
    return decoded


def route_of(function: Function, prefix: str) -> Route:
    """Compile the route of an HTTP-triggered function; without one its name is the route.

    Raises:
        SettingsError: The template or one of its constraints is not valid.
    """
    trigger = function.trigger
    own = trigger.get("route")
    template = "/".join(part for part in (prefix, (own or function.name).strip("/")) if part)
    methods = frozenset(method.upper() for method in trigger.get("methods") or ())
    try:
        return _compile(template, methods, function)
    except ValueError as error:
        raise SettingsError(f"{function.name}: route {template!r}: {error}") from None


def _compile(template: str, methods: frozenset[str], function: Function) -> Route:
    names: list[str] = []
    checks: list[tuple[int, Check]] = []
    defaults: dict[str, str] = {}
    pattern = ""
    for segment in _segments(template):
        parts = list(_parts(segment))
        parameters = [part for part in parts if isinstance(part, _Parameter)]
        for parameter in parameters:
            if parameter.name.lower() in (name.lower() for name in names):
                raise ValueError(f"{parameter.name!r} appears twice")
            checks += [(len(names), check) for check in parameter.checks]
            names.append(parameter.name)
            if parameter.default is not None:
                defaults[parameter.name] = parameter.default
        body = "".join("([^/]+)" if isinstance(part, _Parameter) else re.escape(part) for part in parts)
        slash = "/" if pattern else ""
        if any(parameter.catch_all for parameter in parameters):
            pattern += f"(?:{slash}(.*))?"
        elif len(parts) == 1 and parameters and parameters[0].optional:
            pattern += f"(?:{slash}{body})?"
        else:
            pattern += slash + body
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return Route(template, methods, function, compiled, tuple(names), tuple(checks), defaults)


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    catch_all: bool
    optional: bool
    default: str | None
    checks: tuple[Check, ...]


def _segments(template: str) -> list[str]:
    """Split at the slashes outside braces (a regex constraint may hold one)."""
    if not template:
        return []
    held = _PARAMETER.sub(lambda match: match[0].replace("/", "\0"), template)
    return [segment.replace("\0", "/") for segment in held.split("/")]


def _parts(segment: str) -> Iterable[str | _Parameter]:
    if not segment:
        raise ValueError("an empty segment")
    end = 0
    for match in _PARAMETER.finditer(segment):
        if match.start() > end:
            yield _literal(segment[end : match.start()])
        yield _parameter(match[1].replace("{{", "{").replace("}}", "}"))
        end = match.end()
    if end < len(segment):
        yield _literal(segment[end:])


def _literal(text: str) -> str:
    unescaped = text.replace("{{", "").replace("}}", "")
    if set(unescaped) & set("{}?*"):
        raise ValueError(f"{text!r} is neither a literal nor a parameter")
    return text.replace("{{", "{").replace("}}", "}")


def _parameter(text: str) -> _Parameter:
    match = _NAME.fullmatch(text)
    if not match:
        raise ValueError(f"{{{text}}} has no valid name")
    rest = match["rest"]
    checks: list[Check] = []
    while found := _CONSTRAINT.match(rest):
        checks.append(_check(found["name"].lower(), found["args"]))
        rest = rest[found.end() :]
    if rest not in {"", "?"} and not rest.startswith("="):
        raise ValueError(f"{{{text}}} is not understood from {rest!r} on")
    default = rest[1:] if rest.startswith("=") else None
    return _Parameter(match["name"], bool(match["star"]), bool(rest), default, tuple(checks))


def _check(name: str, args: str | None) -> Check:
    """Build a route constraint, https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-constraints."""
    if args is None:
        if name not in _PLAIN:
            raise ValueError(f"constraint {name!r} is not known")
        return _PLAIN[name]
    if name == "regex":
        expression = re.compile(args.replace("\\\\", "\\"), re.IGNORECASE)
        return lambda value: expression.search(value) is not None
    return _bounded(name, [float(number) for number in args.split(",")])


def _bounded(name: str, numbers: list[float]) -> Check:
    low, high = -math.inf, math.inf
    match name, numbers:
        case (("min" | "minlength"), [low]):
            pass
        case (("max" | "maxlength"), [high]):
            pass
        case "length", [low]:
            high = low
        case (("length" | "range"), [low, high]):
            pass
        case _:
            raise ValueError(f"constraint {name!r} is not known with these arguments")
    if name.endswith("length"):
        return lambda value: low <= len(value) <= high
    return lambda value: _fits(value, 64) and low <= int(value) <= high


def _is(kind: Callable[[str], object], value: str) -> bool:
    try:
        kind(value)
    except (ValueError, ArithmeticError):
        return False
    return value.isascii() and "_" not in value  # Python reads 1_000 and other scripts' digits, .NET does not


def _fits(value: str, bits: int) -> bool:
    return _is(int, value) and -(2 ** (bits - 1)) <= int(value) < 2 ** (bits - 1)


_GUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_PLAIN: dict[str, Check] = {
    "alpha": lambda value: value.isascii() and value.isalpha(),
    "bool": lambda value: value.lower() in {"true", "false"},
    "datetime": lambda value: _is(datetime.fromisoformat, value),
    "decimal": lambda value: _is(Decimal, value),
    "double": lambda value: _is(float, value),
    "float": lambda value: _is(float, value),
    "guid": lambda value: _GUID.fullmatch(value.strip("{}()")) is not None and _is(uuid.UUID, value.strip("{}()")),
    "int": lambda value: _fits(value, 32),
    "long": lambda value: _fits(value, 64),
    "required": bool,
}
