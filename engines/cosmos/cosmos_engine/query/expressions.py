"""The grammar of scalar expressions, by recursive descent; the loosest binding comes first."""

from typing import NoReturn

from sqlglot.tokenizer_core import Token, TokenType

from cosmos_engine.errors import BadRequestError
from cosmos_engine.query import syntax
from cosmos_engine.query.functions import AGGREGATES, FUNCTIONS
from cosmos_engine.query.syntax import Expression, Query
from cosmos_engine.query.tokens import string_value, tokenize
from cosmos_engine.values import UNDEFINED, parse

RESERVED = frozenset(
    "AND ARRAY AS ASC BETWEEN BY DESC DISTINCT ESCAPE EXISTS FALSE FROM GROUP HAVING IN JOIN LIKE LIMIT NOT NULL "
    "OFFSET OR ORDER SELECT TOP TRUE UDF UNDEFINED VALUE WHERE".split()
)
"""Words that are no names: c["order"], not c.order."""
CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None, "UNDEFINED": UNDEFINED}
COMPARISONS = ("=", "!=", "<>", "<", "<=", ">", ">=")
UNSUPPORTED = ("|", "&", "^", "~")
MOST_DIGITS = 15
"""Of an index: no array is longer."""


class ExpressionParser:
    """A place in a row of tokens, and the rules for what may follow."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._next = 0

    def query(self) -> Query:
        """A SELECT statement."""
        raise NotImplementedError

    def sees(self, *symbols: str) -> bool:
        """Whether one of these words or symbols comes next."""
        token = self._token()
        return token is not None and token.token_type is not TokenType.STRING and token.text.upper() in symbols

    def accept(self, symbol: str) -> bool:
        """Go past a word or symbol, if it comes next."""
        found = self.sees(symbol)
        self._next += found
        return found

    def expect(self, symbol: str) -> None:
        """Go past a word or symbol.

        Raises:
            BadRequestError: something else comes next.
        """
        if not self.accept(symbol):
            self._syntax_error()

    def end(self) -> None:
        """Check that nothing is left."""
        if self._token() is not None:
            self._syntax_error()

    def is_name(self) -> bool:
        """Whether a name comes next."""
        token = self._token()
        return token is not None and token.token_type is TokenType.VAR and token.text.upper() not in RESERVED

    def name(self) -> str:
        """Go past a name."""
        if not self.is_name():
            self._syntax_error()
        return self._take().text

    def amount(self) -> Expression:
        """A number or a parameter, after TOP, OFFSET and LIMIT."""
        if not self.sees("@") and not self._sees_type(TokenType.NUMBER):
            self._syntax_error()
        return self._primary()

    def path(self) -> Expression:
        """A path of properties and elements, from a name of FROM or JOIN."""
        if not self.is_name():
            self._syntax_error()
        return self._postfix()

    def expression(self) -> Expression:
        """Any scalar expression."""
        left = self._disjunction()
        while self.accept("??"):
            left = syntax.Binary("??", left, self._disjunction())
        if self.accept("?"):
            then = self.expression()
            self.expect(":")
            return syntax.Choice(left, then, self.expression())
        if self.sees(*UNSUPPORTED):
            self.unsupported(f"the operator {self._take().text}")
        return left

    def unsupported(self, what: str) -> NoReturn:
        """Refuse a feature that the service may support, and this engine lacks."""
        raise BadRequestError(f"In a query, {what} is not supported by this engine.")

    def subquery(self, kind: str) -> Expression:
        """A query, up to the parenthesis that closes it."""
        query = self.query()
        self.expect(")")
        if query.order or query.offset:
            self.unsupported("ORDER BY, OFFSET or LIMIT of a subquery")
        return syntax.Subquery(kind, query)

    def _disjunction(self) -> Expression:
        left = self._conjunction()
        while self.accept("OR"):
            left = syntax.Binary("OR", left, self._conjunction())
        return left

    def _conjunction(self) -> Expression:
        left = self._negation()
        while self.accept("AND"):
            left = syntax.Binary("AND", left, self._negation())
        return left

    def _negation(self) -> Expression:
        if self.accept("NOT"):
            return syntax.Unary("NOT", self._negation())
        return self._comparison()

    def _comparison(self) -> Expression:
        left = self._sum()
        while True:
            if self.sees(*COMPARISONS):
                operator = self._take().text
                left = syntax.Binary("!=" if operator == "<>" else operator, left, self._sum())
            elif self.sees("IN", "BETWEEN", "LIKE", "NOT"):
                negated = self.accept("NOT")
                left = self._membership(left)
                left = syntax.Unary("NOT", left) if negated else left
            else:
                return left

    def _membership(self, operand: Expression) -> Expression:
        if self.accept("IN"):
            self.expect("(")
            return syntax.In(operand, self._list(")"))
        if self.accept("BETWEEN"):
            low = self._sum()
            self.expect("AND")
            return syntax.Between(operand, low, self._sum())
        self.expect("LIKE")
        pattern = self._sum()
        escape = self._string() if self.accept("ESCAPE") else None
        return syntax.Like(operand, pattern, escape)

    def _sum(self) -> Expression:
        left = self._product()
        while self.sees("+", "-", "||"):
            left = syntax.Binary(self._take().text, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._unary()
        while self.sees("*", "/", "%"):
            left = syntax.Binary(self._take().text, left, self._unary())
        return left

    def _unary(self) -> Expression:
        if self.sees("-", "+"):
            return syntax.Unary(self._take().text, self._unary())
        return self._postfix()

    def _postfix(self) -> Expression:
        expression = self._primary()
        while True:
            if self.accept("."):
                expression = syntax.Member(expression, self.name())
            elif self.accept("["):
                token = self._take()
                if token.token_type is TokenType.STRING:
                    key: str | int = self._text_of(token)
                elif token.token_type is TokenType.NUMBER and token.text.isdecimal() and len(token.text) <= MOST_DIGITS:
                    key = int(token.text)
                else:
                    self.unsupported("an index that is no constant")
                self.expect("]")
                expression = syntax.Member(expression, key)
            else:
                return expression

    def _primary(self) -> Expression:  # noqa: C901 -- one branch for each way to begin
        if self.accept("("):
            if self.sees("SELECT"):
                return self.subquery("VALUE")
            expression = self.expression()
            self.expect(")")
            return expression
        if self.accept("["):
            return syntax.ArrayOf(self._list("]"))
        if self.accept("{"):
            return self._object()
        if self.accept("@"):
            return syntax.Parameter("@" + self._take().text)
        if self._sees_type(TokenType.STRING):
            return syntax.Literal(self._string())
        if self._sees_type(TokenType.NUMBER):
            return syntax.Literal(self._number())
        if self.sees("EXISTS", "ARRAY"):
            kind = self._take().text.upper()
            self.expect("(")
            return self.subquery(kind)
        if self.sees("UDF"):
            self.unsupported("UDF")
        if self.sees(*CONSTANTS):
            return syntax.Literal(CONSTANTS[self._take().text.upper()])
        name = self._take().text if self.sees("LEFT", "RIGHT") else self.name()
        return self._call(name.upper()) if self.accept("(") else syntax.Alias(name)

    def _call(self, name: str) -> Expression:
        if self.sees("SELECT"):
            self.unsupported("a subquery as an argument without parentheses of its own")
        arguments = self._list(")")
        if name in AGGREGATES:
            low, high = 1, 1
        elif name in FUNCTIONS:
            low, high = FUNCTIONS[name].arguments
        else:
            self.unsupported(f"the function {name}")
        if not low <= len(arguments) <= high:
            raise BadRequestError(f"The {name} function requires {low} to {high} arguments; {len(arguments)} given.")
        return syntax.Call(name, arguments)

    def _object(self) -> Expression:
        properties: dict[str, Expression] = {}
        if not self.accept("}"):
            while True:
                name = self._string() if self._sees_type(TokenType.STRING) else self.name()
                self.expect(":")
                properties[name] = self.expression()
                if not self.accept(","):
                    break
            self.expect("}")
        return syntax.ObjectOf(tuple(properties.items()))

    def _list(self, closing: str) -> tuple[Expression, ...]:
        elements = []
        if not self.accept(closing):
            elements.append(self.expression())
            while self.accept(","):
                elements.append(self.expression())
            self.expect(closing)
        return tuple(elements)

    def _string(self) -> str:
        if not self._sees_type(TokenType.STRING):
            self._syntax_error()
        return self._text_of(self._take())

    def _number(self) -> int | float:
        text = self._take().text
        number: int | float = parse(text + "0" if text.endswith(".") else "0" + text if text.startswith(".") else text)
        return number

    def _text_of(self, token: Token) -> str:
        return string_value(self._text[token.start : token.end + 1])

    def _sees_type(self, token_type: TokenType) -> bool:
        token = self._token()
        return token is not None and token.token_type is token_type

    def _token(self) -> Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self) -> Token:
        token = self._token()
        if token is None:
            self._syntax_error()
        self._next += 1
        return token

    def _syntax_error(self) -> NoReturn:
        token = self._token()
        near = "the end" if token is None else f"'{token.text}'"
        raise BadRequestError(f"Syntax error, incorrect syntax near {near}.")
