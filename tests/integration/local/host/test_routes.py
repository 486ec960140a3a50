"""Route templates as ASP.NET understands them."""

import pytest

from infra.local.host.routes import RouteTable, decode_path, route_of
from infra.local.host.rpc import Function
from infra.local.host.settings import SettingsError


def function(route: str | None, *methods: str, name: str = "f") -> Function:
    return Function(name, name, [{"type": "httpTrigger", "name": "req", "route": route, "methods": list(methods)}])


def match(template: str, path: str) -> dict[str, str] | None:
    found = RouteTable([route_of(function(template), "api")]).match("GET", f"/api/{path}")
    return found and found[1]


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        ("int", ["0", "-7", "2147483647"], ["x", "1.5", "2147483648", "1_0", "٣"]),
        ("long", ["2147483648"], ["9223372036854775808"]),
        ("guid", ["0af7651916cd43dd8448eb211c80319c", "0AF76519-16cd-43dd-8448-eb211c80319c"], ["0af76519", "7"]),
        ("bool", ["true", "FALSE"], ["1", "yes"]),
        ("decimal", ["1.5"], ["x"]),
        ("double", ["1e3"], ["x"]),
        ("datetime", ["2026-01-31", "2026-01-31T10:00:00"], ["tomorrow"]),
        ("alpha", ["abc"], ["abc1", "ä"]),
        ("min(3)", ["3", "4"], ["2", "x"]),
        ("max(3)", ["3"], ["4"]),
        ("range(3,5)", ["3", "5"], ["2", "6"]),
        ("minlength(2)", ["ab"], ["a"]),
        ("maxlength(2)", ["ab"], ["abc"]),
        ("length(2)", ["ab"], ["a", "abc"]),
        ("length(2,3)", ["ab", "abc"], ["a", "abcd"]),
        ("int:min(5)", ["5"], ["4", "x"]),
        ("regex(^a/?b+$)", ["abb"], ["ac"]),
        ("regex(^\\d{{2}}$)", ["12"], ["1", "123"]),
        ("required", ["x"], []),
    ],
)
def test_a_constraint_admits_what_it_describes(constraint: str, good: list[str], bad: list[str]) -> None:
    template = f"a/{{x:{constraint}}}"
    for value in good:
        assert match(template, f"a/{value}") == {"x": value}
    for value in bad:
        assert match(template, f"a/{value}") is None


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("a/{x?}", "a", {}),
        ("a/{x?}", "a/1", {"x": "1"}),
        ("a/{x:int?}", "a", {}),
        ("a/{x=5}", "a", {"x": "5"}),
        ("a/{x=5}", "a/6", {"x": "6"}),
        ("a/{*rest}", "a", {}),
        ("a/{*rest}", "a/b/c", {"rest": "b/c"}),
        ("a/{**rest}", "a/b/c", {"rest": "b/c"}),
        ("{name}.{suffix}", "a.b.txt", {"name": "a.b", "suffix": "txt"}),
        ("v{major:int}/x", "v2/x", {"major": "2"}),
        ("{{a}}/x", "{a}/x", {}),
        ("A/B", "a/b/", {}),
    ],
)
def test_a_path_yields_its_values(template: str, path: str, values: dict[str, str]) -> None:
    assert match(template, path) == values


def test_routes_are_tried_in_the_order_of_their_functions_names() -> None:
    # measured: ordinal after upper-casing, so that an underscore is behind letters; not by precedence
    templates = {"b": "a/x", "A": "{*all}", "under_score": "u/{x}", "underlined": "u/1"}
    table = RouteTable([route_of(function(template, name=name), "") for name, template in templates.items()])
    assert [route.function.name for route in table.routes] == ["A", "b", "underlined", "under_score"]
    found = table.match("GET", "/a/x")
    assert found is not None
    assert found[0].name == "A"


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("a/{x:nonsense}", "nonsense"),
        ("a/{x:range(1)}", "range"),
        ("a/{x:min(many)}", "many"),
        ("a/{x}/{X}", "twice"),
        ("a//b", "empty segment"),
        ("a/{x", "neither a literal nor a parameter"),
        ("a/{1x}", "no valid name"),
        ("a/{x!}", "not understood"),
    ],
)
def test_a_template_that_is_not_valid_is_refused_with_its_function(template: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=rf"^broken: .*{complaint}"):
        route_of(function(template, name="broken"), "api")


def test_two_functions_on_the_same_route_and_method_are_refused() -> None:
    routes = [route_of(function("a/{x}", "GET", name=name), "") for name in ("one", "two")]
    with pytest.raises(SettingsError, match="one and two both answer GET"):
        RouteTable(routes)


def test_an_escaped_slash_stays_within_its_segment() -> None:
    assert decode_path(b"/a%20b/%C3%A4%2Fc%2fd") == "/a b/ä%2Fc%2fd"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/caf%e9", "/caf%e9"),
        (b"/%C3%A4%E9%C3%A4", "/ä%E9ä"),
        (b"/a/../b/./c", "/b/c"),
        (b"/a/%2e%2E/b", "/b"),
        (b"/../../a", "/a"),
        (b"/a/b/..", "/a/"),
        (b"/a//b", "/a//b"),
        (b"/100%", "/100%"),
    ],
)
def test_a_path_is_decoded_as_far_as_it_is_utf_8_and_its_dots_are_resolved(raw: bytes, path: str) -> None:
    assert decode_path(raw) == path


def test_without_a_route_the_name_is_the_route_and_an_empty_prefix_adds_nothing() -> None:
    assert route_of(function(None, name="hello"), "").template == "hello"
    assert route_of(function(None, name="hello"), "api").template == "api/hello"
    assert route_of(function("", name="hello"), "api").template == "api/hello"  # measured
