"""What a repository overrides is called, or its class is refused."""

import pytest

from shared.frame.write_side.repository import Repository


class WithoutOwners:
    """Has what decides whose an aggregate is, by the name of before."""

    def _is_callers(self, row: object) -> bool:
        raise NotImplementedError(row)


@pytest.mark.parametrize(
    ("earlier", "name"),
    [
        ("_is_callers", "_may_access"),
        ("_insert_more", "_insert_children"),
        ("_update_more", "_update_children"),
    ],
)
def test_an_override_by_an_earlier_name_is_refused_with_the_name_of_now(earlier: str, name: str) -> None:
    """Every customer would reach others' aggregates by one, and rows would be missing without the others."""
    assert hasattr(Repository, name)
    with pytest.raises(TypeError, match=rf"^Orders\.{earlier} is not called any more: its name is {name}\.$"):
        type("Orders", (Repository,), {earlier: lambda *_: False})


def test_an_override_that_comes_from_another_base_is_refused_too() -> None:
    with pytest.raises(TypeError, match="its name is _may_access"):
        type("Orders", (WithoutOwners, Repository), {})
