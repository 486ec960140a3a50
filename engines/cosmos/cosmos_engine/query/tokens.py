"""The words of a query."""

import json
import re
from typing import Any, ClassVar

from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType
from sqlglot.tokens import Tokenizer

from cosmos_engine.errors import BadRequestError

ESCAPE = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\.", re.DOTALL)
"""One escape, or several that may be the two halves of one character."""


class _CosmosTokenizer(Tokenizer):
    """Strings in either quote with backslash escapes; no quoted names; keywords are left to the grammar."""

    QUOTES: ClassVar = ["'", '"']
    IDENTIFIERS: ClassVar[list[Any]] = []
    STRING_ESCAPES: ClassVar = ["\\"]
    COMMENTS: ClassVar[list[Any]] = ["--", ("/*", "*/")]
    KEYWORDS: ClassVar = {
        "<=": TokenType.LTE,
        ">=": TokenType.GTE,
        "<>": TokenType.NEQ,
        "!=": TokenType.NEQ,
        "||": TokenType.DPIPE,
        "??": TokenType.DQMARK,
    }


def tokenize(text: str) -> list[Token]:
    """Cut a query into tokens: VAR for words, STRING, NUMBER and symbols.

    Raises:
        BadRequestError: a string or a comment does not end.
    """
    try:
        return _CosmosTokenizer().tokenize(text)
    except TokenError as error:
        raise BadRequestError(f"Syntax error: {error}") from error


def string_value(raw: str) -> str:
    r"""The value of a string literal, given with its quotes. Escapes are those of JSON, and \' besides."""
    return ESCAPE.sub(_unescape, raw[1:-1])


def _unescape(match: re.Match[str]) -> str:
    escape = match[0]
    if escape == "\\'":
        return "'"
    try:
        text = str(json.loads(f'"{escape}"'))
        text.encode()  # half a character is not text
    except ValueError:
        raise BadRequestError(f"Syntax error: '{escape}' is not an escape.") from None
    return text
