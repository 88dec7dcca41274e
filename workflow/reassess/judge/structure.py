"""The outer structure of a mathematical answer: tuples, intervals, sets, lists of solutions, unions, relations."""

import re
from dataclasses import dataclass

RELATIONS = "=≠<>≤≥≈"
INEQUALITIES = frozenset("<>≤≥")
FLIPPED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}
_PARTS_AT_MOST = 24
_DEPTH_AT_MOST = 25


@dataclass(frozen=True)
class Atom:
    """A formula, number or phrase without outer structure."""

    text: str


@dataclass(frozen=True)
class Group:
    """Parts in order; whether the order counts is for the comparison to say.

    `brackets` is "()", "[]", "[)", "(]" or "{}", "∪" for a union, ":" for a ratio, "," for a bare list and "or" for a
    bare list that says "or".
    """

    brackets: str
    parts: "tuple[Node, ...]"


@dataclass(frozen=True)
class Relation:
    """Sides joined by equality or order signs: n sides and n - 1 signs."""

    sides: tuple[str, ...]
    signs: tuple[str, ...]


Node = Atom | Group | Relation


class TooComplexError(ValueError):
    """The text nests deeper or has more parts than an answer has."""


_OPENING, _CLOSING = "([{⟦", ")]}⟧"
_LIST_BREAK = re.compile(r"[,;]|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])")


def parse_structure(text: str, depth: int = 0) -> Node:
    """The structure of a text in the notation of `normalize_math`.

    Raises:
        TooComplexError: beyond 25 levels or 24 parts.
    """
    text = _fold_environments(text.rstrip(" .,;").lstrip(" ,;"))
    if depth > _DEPTH_AT_MOST:
        raise TooComplexError
    depth += 1
    if "±" in text or "\\mp" in text:
        pieces = _split(text, _LIST_BREAK)
        return _list(_unique([sign for piece in pieces for sign in _expand_signs(piece)]), depth)
    environment = _environment(text, depth)
    if environment:
        return environment
    pieces = _split(text, re.compile("∪"))
    if len(pieces) > 1:
        return Group("∪", _parse_all(pieces, depth))
    pieces = _split(text, _LIST_BREAK)
    if len(pieces) > 1:
        has_or = len(_split(text, re.compile(r"(?<![A-Za-z\\])or(?![A-Za-z])"))) > 1
        return Group("or" if has_or else ",", _parse_all([piece for piece in pieces if piece.strip()], depth))
    membership = re.match(r"\\?[A-Za-z]+\s*∈", text)
    if membership:
        return parse_structure(text[membership.end() :], depth)
    point = _LABELLED_POINT.fullmatch(text)
    if point and "," in text:
        return Relation((point[1], point[2]), ("=",))
    relation = _relation(text)
    if relation:
        return relation
    return _bracketed(text, depth) or _ratio(text) or Atom(_unfold_environments(text))


# P(3, -4), but not the binomial coefficient C(7, 2) times something.
_LABELLED_POINT = re.compile(r"([A-Z](?:_\{[^{}]*\}|'|[0-9])?)\s*(\([^()]*(?:\([^()]*\)[^()]*)*\))")
_BEGIN = re.compile(r"\\begin\s*\{([pbB]?matrix|smallmatrix|array|cases|aligned)\}(?:\{[lcr| ]*\})?")
_END = re.compile(r"\\end\s*\{(?:[pbB]?matrix|smallmatrix|array|cases|aligned)\}")
_FOLDED = re.compile(r"⟦([a-zA-Z]*):(.*)⟧", re.DOTALL)
_ROW_BREAK = re.compile(r"\\\\(?:\[[^\]]*\])?")
_CONDITION_WORD = re.compile(r"^\s*(?:if|when|for|where|,)\s*", re.IGNORECASE)


def _fold_environments(text: str) -> str:
    """Matrices and cases in brackets of their own, so that what is inside does not break the text apart."""
    if "\\begin" not in text:
        return text
    return _END.sub("⟧", _BEGIN.sub(lambda begin: f"⟦{begin[1]}:", text))


def _unfold_environments(text: str) -> str:
    if "⟦" not in text:
        return text
    return re.sub("⟧", r"\\end{matrix}", re.sub("⟦[a-zA-Z]*:", r"\\begin{matrix}", text))


def _environment(text: str, depth: int) -> Node | None:
    """A matrix as its rows, a system as the list of its equations, cases as pairs of formula and condition."""
    match = _FOLDED.fullmatch(text)
    if not match or "⟦" in match[2]:
        return None
    rows = [row.split("&") for row in _ROW_BREAK.split(match[2]) if row.strip()]
    if len(rows) * max(map(len, rows), default=0) > _PARTS_AT_MOST:
        raise TooComplexError
    if "matrix" in match[1] or match[1] == "array":
        return Group(
            "matrix", tuple(Group("row", tuple(parse_structure(entry, depth) for entry in row)) for row in rows)
        )
    if match[1] == "cases" and all(len(row) == 2 for row in rows):
        pairs = [(formula.strip(" ,"), _CONDITION_WORD.sub("", condition)) for formula, condition in rows]
        return Group("cases", tuple(Group("()", _parse_all(list(pair), depth)) for pair in pairs))
    return _list(["".join(row) for row in rows], depth)


def _expand_signs(text: str) -> list[str]:
    # A leading plus would only hide that the number is the same.
    signs = [text.replace("±", "+").replace("\\mp", "-"), text.replace("±", "-").replace("\\mp", "+")]
    return [re.sub(r"^\+\s*|(?<=[=(,])\s*\+\s*", "", sign) for sign in signs]


def _unique(items: list[str]) -> list[str]:
    return list(dict.fromkeys(items))


def _list(pieces: list[str], depth: int) -> Node:
    parts: list[Node] = []
    for piece in pieces:
        node = parse_structure(piece, depth)
        parts.extend(node.parts if isinstance(node, Group) and node.brackets in (",", "or") else [node])
    if len(parts) > _PARTS_AT_MOST:
        raise TooComplexError
    return Group(",", tuple(parts)) if len(parts) > 1 else parts[0]


def _parse_all(pieces: list[str], depth: int) -> tuple[Node, ...]:
    if len(pieces) > _PARTS_AT_MOST:
        raise TooComplexError
    return tuple(parse_structure(piece, depth) for piece in pieces)


def _depths(text: str) -> list[int]:
    """The bracket depth in front of each character; unlike brackets match, because half-open intervals mix them."""
    depths, depth = [], 0
    for character in text:
        if character in _CLOSING:
            depth -= 1
        depths.append(depth)
        if character in _OPENING:
            depth += 1
        if depth > _DEPTH_AT_MOST:
            raise TooComplexError
    return depths


def _split(text: str, separator: re.Pattern[str]) -> list[str]:
    matches = list(separator.finditer(text))
    if not matches:
        return [text]
    depths = _depths(text)
    pieces, start = [], 0
    for match in matches:
        if depths[match.start()] == 0 and not _separates_thousands(text, match):
            pieces.append(text[start : match.start()])
            start = match.end()
    return [*pieces, text[start:]]


_THOUSANDS = re.compile(r"(?<![0-9,.])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])")


def _separates_thousands(text: str, match: re.Match[str]) -> bool:
    if match[0] != ",":
        return False
    return any(number.start() < match.start() < number.end() for number in _THOUSANDS.finditer(text))


_RELATION_SIGN = re.compile(f"[{RELATIONS}]")


def _relation(text: str) -> Relation | None:
    sides = [side.strip() for side in _split(text, _RELATION_SIGN)]
    if len(sides) == 1 or not all(sides):
        return None
    depths = _depths(text)
    signs = tuple(match[0] for match in _RELATION_SIGN.finditer(text) if depths[match.start()] == 0)
    return Relation(tuple(sides), tuple("=" if sign == "≈" else sign for sign in signs))


_SET_BUILDER = re.compile(r"\s*\\?[A-Za-z]+(?:\s*∈[^|:]*)?\s*(?:[|:]|\\mid(?![A-Za-z]))")


def _bracketed(text: str, depth: int) -> Node | None:
    set_braces = text.startswith("\\{") and text.endswith("\\}")
    opening = 1 if set_braces else 0
    inside = text[2:-2] if set_braces else text[1:-1]
    if not inside.strip() or text[opening] not in _OPENING or text[-1] not in _CLOSING:
        return None
    depths = _depths(text)
    if 0 in depths[opening + 1 : -1]:
        return None
    brackets = "{}" if text[-1] == "}" else text[opening] + text[-1]
    builder = _SET_BUILDER.match(inside) if set_braces else None
    if builder:
        return parse_structure(inside[builder.end() :], depth)
    pieces = _split(inside, re.compile("[,;]"))
    if brackets == "[]":
        rows = [
            row for piece in pieces if isinstance(row := parse_structure(piece, depth), Group) and row.brackets == "[]"
        ]
        if len(rows) == len(pieces):
            return Group("matrix", tuple(Group("row", row.parts) for row in rows))
    if len(pieces) == 1:
        only = parse_structure(inside, depth)
        if isinstance(only, Group) and only.brackets == "matrix":
            return only
        if set_braces or brackets == "[]":
            return Group(brackets, (only,))
        return only if brackets in ("()", "{}") else None
    return Group(brackets, _parse_all(pieces, depth))


_RATIO_PART = re.compile(r"(?:[0-9.+\-/ ]|\\(?:sqrt|frac|pi)(?![A-Za-z])|\{[0-9]+\})+")


def _ratio(text: str) -> Group | None:
    parts = [part.strip() for part in text.split(":")]
    if len(parts) == 1 or not all(map(_RATIO_PART.fullmatch, parts)):
        return None
    return Group(":", tuple(Atom(part) for part in parts))


def ascending(relation: Relation) -> Relation:
    """The relation written with < and ≤ where it is an inequality, so that 3 > x and x < 3 are one."""
    if any(sign in "<≤" for sign in relation.signs) or not any(sign in ">≥" for sign in relation.signs):
        return relation
    signs = tuple(FLIPPED.get(sign, sign) for sign in reversed(relation.signs))
    return Relation(tuple(reversed(relation.sides)), signs)


NAME = re.compile(r"\\?[A-Za-z]+(?:_\{[^{}]*\})?")


def as_interval(relation: Relation) -> Group | None:
    """The interval that an inequality on one variable describes: 1 < x ≤ 3 is (1, 3]."""
    relation = ascending(relation)
    if not set(relation.signs) <= {"<", "≤"}:
        return None
    if len(relation.sides) == 3 and NAME.fullmatch(relation.sides[1]):
        lower, _, upper = relation.sides
        return _interval(lower, upper, relation.signs[0], relation.signs[1])
    if len(relation.sides) == 2 and NAME.fullmatch(relation.sides[0]):
        return _interval("-∞", relation.sides[1], "<", relation.signs[0])
    if len(relation.sides) == 2 and NAME.fullmatch(relation.sides[1]):
        return _interval(relation.sides[0], "∞", relation.signs[0], "<")
    return None


def has_variables(formula: str) -> bool:
    """Whether a formula has letters other than those of LaTeX commands."""
    return bool(re.search("[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", formula)))


def is_solution(relation: Relation) -> bool:
    """Whether a relation says what a single name is or how it is bounded, as x = 5 and x > 3 do."""
    names = [side for side in relation.sides if NAME.fullmatch(side)]
    return len(names) == 1 and not any(has_variables(side) for side in relation.sides if side not in names)


def _interval(lower: str, upper: str, left_sign: str, right_sign: str) -> Group:
    brackets = ("[" if left_sign == "≤" else "(") + ("]" if right_sign == "≤" else ")")
    return Group(brackets, (Atom(lower), Atom(upper)))


# A name of one or more letters, a function, an angle, a ratio of segments (AB : BC), or a tuple of names.
_LABEL = re.compile(
    r"[A-Za-z\\][A-Za-z0-9 '\\{}_()^,°:]*|\(\s*[A-Za-z](?:_\{[^{}]*\})?(?:\s*,\s*[A-Za-z](?:_\{[^{}]*\})?)*\s*\)"
)
_INVERSE = re.compile(r"\^\{-1\}(?=\s*\()")
_HAS_OPERATOR = re.compile(r"[+*/^!]|(?<=.)-|\\(?:frac|times|cdot|sqrt|div|pi)")


def named_value(relation: Relation) -> str | None:
    """What an assignment such as "x = 5", "f(x) = x^2" or "Area = 12 = 3·4" gives; None for any other relation."""
    label = _INVERSE.sub("", relation.sides[0])
    if set(relation.signs) != {"="} or not _LABEL.fullmatch(label):
        return None
    return None if _HAS_OPERATOR.search(label) else relation.sides[-1]


def computed_value(relation: Relation) -> str | None:
    """The result that a reply's chain of equalities ends in: an assignment, or "2 + 3 = 5"."""
    if set(relation.signs) != {"="}:
        return None
    if not has_variables("".join(relation.sides)) and _HAS_OPERATOR.search(relation.sides[0]):
        return relation.sides[-1]
    return named_value(relation)
