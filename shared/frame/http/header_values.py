"""Headers that have parameters: Prefer (RFC 7240) and Content-Type (RFC 9110)."""

import re

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PREFERENCES = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+"?)++')
"""Finds the items between commas, except commas in quotes; it is possessive, so that no header takes long."""

_PREFERENCE = re.compile(rf"[ \t]*+({_WORD})[ \t]*+(?:=[ \t]*+({_WORD}|{_QUOTED})?+[ \t]*+)?+(?:;.*)?")
"""Reads one of them; its repetitions are possessive for the same reason."""

_PARAMETER = re.compile(rf"({_WORD})(?:=({_WORD}|{_QUOTED})?+)?+")
_JSON = re.compile(
    rf"application/json(?P<parameters>(?:[ \t]*+;[ \t]*+(?:{_PARAMETER.pattern})?+)*+)[ \t]*+", re.IGNORECASE
)

_ESCAPED = re.compile(r"\\(.)")


def preference(prefer: str | None, name: str) -> str | None:
    """Give the value of a preference, in lower case; None if it is not there or has none.

    If a name comes twice, the first one counts, as RFC 7240 says. A preference that cannot be read is ignored: it is a
    wish, and no reason to refuse a request.
    """
    for part in _PREFERENCES.findall(prefer or ""):
        said = _PREFERENCE.fullmatch(part)
        if said and said[1].lower() == name:
            return _unquoted(said[2] or "").lower() or None
    return None


def is_json(content_type: str | None) -> bool:
    """Tell whether a body is said to be JSON in UTF-8; parameters other than a charset mean nothing to JSON."""
    said = _JSON.fullmatch(content_type or "")
    if said is None:
        return False
    values = (value for name, value in _PARAMETER.findall(said["parameters"]) if name.lower() == "charset")
    return {_unquoted(value).lower() for value in values} <= {"utf-8"}


def _unquoted(word: str) -> str:
    return _ESCAPED.sub(r"\1", word[1:-1]) if word.startswith('"') else word
