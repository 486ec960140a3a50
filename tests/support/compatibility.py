"""What of a published schema readers could no longer rely on."""

from collections.abc import Iterator
from typing import Any

type Schema = dict[str, Any]


def incompatibilities(published: Schema, now: Schema) -> list[str]:
    """Name each field whose change breaks a reader of the published schema, or the reading of what was written by it.

    Readers pass over fields that they do not know, so a new one is compatible as long as it need not be there: what is
    in the log already does not have it. Everything else that was promised has to stay as it was.
    """
    return list(_object(published, now, published, now, ""))


def _object(old: Schema, new: Schema, old_root: Schema, new_root: Schema, path: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, schema in before.items():
        field = f"{path}{name}"
        if name not in after:
            yield f"{field} is gone"
            continue
        if name in old.get("required", []) and name not in new.get("required", []):
            yield f"{field} need no longer be there"
        yield from _value(schema, after[name], old_root, new_root, field)
    for name in new.get("required", []):
        if name not in old.get("required", []):
            yield f"{path}{name} must be there, and was not before"


def _value(old: Schema, new: Schema, old_root: Schema, new_root: Schema, field: str) -> Iterator[str]:
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    for keyword in ("type", "format", "enum", "const", "pattern"):
        if old.get(keyword) != new.get(keyword):
            yield f"{field} has the {keyword} {new.get(keyword)!r}, and had {old.get(keyword)!r}"
    if "properties" in old:
        yield from _object(old, new, old_root, new_root, f"{field}.")
    if "items" in old and "items" in new:
        yield from _value(old["items"], new["items"], old_root, new_root, f"{field}[]")
    before, after = old.get("anyOf", []), new.get("anyOf", [])
    if len(before) != len(after):
        yield f"{field} is one of {len(after)} kinds of value, and was one of {len(before)}"
    for one, other in zip(before, after, strict=False):
        yield from _value(one, other, old_root, new_root, field)


def _resolved(schema: Schema, root: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    found: Any = root
    for step in schema["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return _resolved(found, root)
