"""Headers that have parameters: Prefer (RFC 7240) and Content-Type (RFC 9110)."""

import re
from email.message import Message

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PREFERENCES = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+"?)++')
"""Finds the items between commas, except commas in quotes; it is possessive, so that no header takes long."""

_PREFERENCE = re.compile(rf"[ \t]*+({_WORD})[ \t]*+(?:=[ \t]*+({_WORD}|{_QUOTED})?+[ \t]*+)?+(?:;.*)?")
"""Reads one of them; its repetitions are possessive for the same reason."""
LONGEST_TYPE = 200
"""Characters of a Content-Type; the standard library takes the square of its length."""

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
    if len(content_type or "") > LONGEST_TYPE:
        return False
    header = Message()  # the standard library's own reading of a Content-Type
    header["Content-Type"] = content_type or ""
    charsets = {str(value).lower() for key, value in header.get_params([]) if key.lower() == "charset"}
    return header.get_content_type() == "application/json" and charsets <= {"utf-8"}


def _unquoted(word: str) -> str:
    return _ESCAPED.sub(r"\1", word[1:-1]) if word.startswith('"') else word
