"""A quick reader of plain formulas into SymPy, for the symbolic process: what it does not know, math-verify reads.

The full LaTeX grammar costs some 50 ms a formula. This one knows sums, products, powers, fractions, roots, factorials,
logarithms and trigonometric functions of numbers and letters, with the same precedence: an implied product binds more
closely than a sign for multiplication or division.
"""

import re
from collections.abc import Callable

import sympy

_TOKEN = re.compile(
    r"\s*(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)|\s*(?P<command>\\[A-Za-z]+)|\s*(?P<letter>[A-Za-z])"
    r"|\s*(?P<sign>[-+*/^_(){}\[\]!])"
)
_GREEK = frozenset(
    ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi", "rho",
     "sigma", "tau", "phi", "chi", "psi", "omega", "Delta", "Omega", "Phi", "Sigma", "Theta")
)  # fmt: skip
# These mean a number or a differential to the full grammar, and these a function when brackets follow.
_LETTERS_WITH_A_MEANING = frozenset("eEiId")
_LETTERS_OF_FUNCTIONS = frozenset("fghpFGHP")
_FUNCTIONS: dict[str, Callable[[sympy.Expr], sympy.Expr]] = {
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "cot": sympy.cot,
    "sec": sympy.sec,
    "csc": sympy.csc,
    "arcsin": sympy.asin,
    "arccos": sympy.acos,
    "arctan": sympy.atan,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "tanh": sympy.tanh,
    "ln": sympy.log,
}
_INVERSE = {"sin": sympy.asin, "cos": sympy.acos, "tan": sympy.atan}
_PRODUCT = frozenset({"\\cdot", "\\times", "*"})
_QUOTIENT = frozenset({"/", "\\div"})
_EXPONENT_AT_MOST = 1_000


class _UnknownError(Exception):
    """Something that only the full grammar reads."""


def parse(latex: str) -> sympy.Expr | None:
    """The formula, None where it has anything but what is described above."""
    try:
        reader = _Reader(latex)
        found = reader.sum()
        return found if reader.next() is None else None
    except (_UnknownError, ZeroDivisionError, RecursionError):
        return None


class _Reader:
    def __init__(self, latex: str) -> None:
        self.tokens: list[str] = []
        self.at = 0
        position = 0
        while latex[position:].strip():
            match = _TOKEN.match(latex, position)
            if match is None:
                raise _UnknownError
            self.tokens.append(match[0].strip())
            position = match.end()

    def next(self) -> str | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, token: str) -> None:
        if self.next() != token:
            raise _UnknownError
        self.at += 1

    def sum(self) -> sympy.Expr:
        total = self.product()
        while (sign := self.next()) in ("+", "-"):
            self.at += 1
            part = self.product()
            total = total + part if sign == "+" else total - part
        return total

    def product(self) -> sympy.Expr:
        sign = 1
        while (token := self.next()) in ("+", "-"):
            self.at += 1
            sign = -sign if token == "-" else sign
        result = self.run()
        while (token := self.next()) is not None and (token in _PRODUCT or token in _QUOTIENT):
            self.at += 1
            negative = self.next() == "-"
            self.at += negative
            factor = -self.run() if negative else self.run()
            result = result * factor if token in _PRODUCT else _quotient(result, factor)
        return sign * result

    def run(self, functions: bool = True) -> sympy.Expr:
        """Factors next to each other."""
        result = self.factor()
        while (token := self.next()) is not None and self.starts_factor(token, functions):
            if token[0].isdigit() or token[0] == "." or (token == "\\frac" and result.is_Integer):
                # "x 2" is no product that a person would write, and 2 1/2 is a mixed number.
                raise _UnknownError
            result = result * self.factor()
        return result

    @staticmethod
    def starts_factor(token: str, functions: bool) -> bool:
        if token in "+-*/^_)}]![" or token in _PRODUCT or token in _QUOTIENT:
            return False
        is_function = token[1:] in _FUNCTIONS or token in ("\\log", "\\exp")
        return functions or not is_function

    def factor(self) -> sympy.Expr:
        base = self.atom()
        if self.next() == "!":
            self.at += 1
            if not base.is_Integer:
                raise _UnknownError
            base = sympy.factorial(base)
        if self.next() == "^":
            self.at += 1
            base = _power(base, self.group())
        if self.next() in ("^", "!"):
            raise _UnknownError
        return base

    def group(self) -> sympy.Expr:
        """What braces hold, or one token."""
        if self.next() != "{":
            token = self.next()
            if token is None or not (token.isdigit() and len(token) == 1):
                raise _UnknownError
            return self.atom()
        self.at += 1
        found = self.sum()
        self.take("}")
        return found

    def atom(self) -> sympy.Expr:
        token = self.next()
        if token is None:
            raise _UnknownError
        self.at += 1
        if token[0].isdigit() or token[0] == ".":
            return sympy.Rational(token)
        if token in ("(", "{"):
            found = self.sum()
            self.take(")" if token == "(" else "}")
            return found
        if token.isalpha():
            if token in _LETTERS_WITH_A_MEANING or (token in _LETTERS_OF_FUNCTIONS and self.next() == "("):
                raise _UnknownError
            return self.symbol(token)
        return self.command(token[1:])

    def command(self, name: str) -> sympy.Expr:
        if name == "pi":
            return sympy.pi
        if name == "frac":
            top = self.group()
            return _quotient(top, self.group())
        if name == "sqrt":
            return self.root()
        if name in _GREEK:
            return self.symbol(name)
        if name == "log" and self.next() == "_":
            self.at += 1
            base = self.group()
            return sympy.log(self.argument()) / sympy.log(base)
        if name in _FUNCTIONS:
            return self.function(name)
        raise _UnknownError

    def root(self) -> sympy.Expr:
        if self.next() != "[":
            return sympy.sqrt(self.group())
        self.at += 1
        index = self.atom()
        self.take("]")
        if not index.is_Integer or index < 2:
            raise _UnknownError
        return sympy.root(self.group(), index)

    def symbol(self, name: str) -> sympy.Expr:
        if self.next() != "_":
            return sympy.Symbol(name)
        self.at += 1
        self.take("{")
        start = self.at
        while (token := self.next()) is not None and token.isalnum():
            self.at += 1
        index = "".join(self.tokens[start : self.at])
        self.take("}")
        return sympy.Symbol(f"{name}_{index}" if len(index) == 1 else f"{name}_{{{index}}}")

    def function(self, name: str) -> sympy.Expr:
        exponent = None
        if self.next() == "^":
            self.at += 1
            exponent = self.group()
        argument = self.argument()
        if exponent == -1:
            if name not in _INVERSE:
                raise _UnknownError
            return _INVERSE[name](argument)
        value = _FUNCTIONS[name](argument)
        return value if exponent is None else _power(value, exponent)

    def argument(self) -> sympy.Expr:
        """What a function is of: a bracket, or the product of what follows up to the next function."""
        if self.next() == "(":
            found = self.atom()
            if self.next() in ("^", "!"):
                raise _UnknownError
            return found
        found = self.run(functions=False)
        token = self.next()
        # Whether "\\sin x / 2" is half a sine is for the full grammar.
        if token is not None and (token in _PRODUCT or token in _QUOTIENT):
            raise _UnknownError
        return found


def _quotient(top: sympy.Expr, bottom: sympy.Expr) -> sympy.Expr:
    if bottom.is_zero:
        raise _UnknownError
    return top / bottom


def _power(base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
    if exponent.is_number and (not exponent.is_Rational or abs(exponent) > _EXPONENT_AT_MOST):
        raise _UnknownError
    if base.is_zero and not exponent.is_positive:
        raise _UnknownError
    return base**exponent
