"""When two mathematical answers are the same: structure by structure, cheap comparisons before symbolic ones."""

import re
from fractions import Fraction
from typing import NamedTuple

from reassess.judge.normalize import MATH_CHARACTERS, normalize_math, same_text, squeeze
from reassess.judge.quantity import Quantity, compare_quantities, read_quantity, states_digits_of
from reassess.judge.realset import is_set, read_set
from reassess.judge.structure import (
    INEQUALITIES,
    Atom,
    Group,
    Node,
    Relation,
    TooComplexError,
    as_interval,
    ascending,
    computed_value,
    has_variables,
    is_solution,
    named_value,
    parse_structure,
)
from reassess.judge.symbolic import ratio_sign, real_value, same_formula, takes_angle
from reassess.judge.unit_names import Unit
from reassess.judge.units import conversions, is_placeholder, known_unit

_ORDERED = frozenset({"()", "[]", "[)", "(]", ":", "matrix", "row"})
_LISTS = frozenset({",", "or"})
_ONE_PART = frozenset({"{}", "[]"})
_EMPTY = Atom("\\emptyset")


class Comparison(NamedTuple):
    """Whether a reply is the gold, and why."""

    equal: bool
    reason: str


_DIFFERENT_FORM = Comparison(False, "different form")


def compare_math(gold: str, reply: str) -> Comparison:
    """Whether a reply states the gold's number, formula, point, interval, set, list of solutions or relation.

    Points and tuples are ordered, sets and bare lists are not; an interval keeps its brackets and an inequality its
    sign. "x = 5" answers "5", and the other way round; "y = 5" does not answer "x = 5".

    Raises:
        RuntimeError: the symbolic worker cannot be started.
    """
    if gold.strip() == reply.strip():
        return Comparison(True, "same text")
    gold, reply = _in_one_line(gold), _in_one_line(reply)
    if max(len(gold), len(reply)) > MATH_CHARACTERS:
        return Comparison(False, "too long to compare")
    gold, reply = normalize_math(gold), normalize_math(reply)
    if squeeze(gold) == squeeze(reply):
        return Comparison(True, "same text")
    quantities = read_quantity(gold), read_quantity(reply)
    if quantities[0] and quantities[1]:
        return Comparison(*compare_quantities(quantities[0], quantities[1]))
    sets = _compare_sets(gold, reply) if is_set(gold) or is_set(reply) else None
    if sets is not None:
        return sets
    if _is_prose(gold):
        return _text(gold, reply)
    try:
        return _compare(parse_structure(gold), parse_structure(reply))
    except TooComplexError:
        return Comparison(False, "too complex to compare")


_LINE = re.compile(r"[^=<>≤≥\n]{1,40}[=<>≤≥][^\n]{1,60}")


def _in_one_line(text: str) -> str:
    """A system with one relation to a line as a list."""
    lines = [line.strip(" ,;") for line in text.strip().splitlines() if line.strip()]
    return ", ".join(lines) if len(lines) > 1 and all(map(_LINE.fullmatch, lines)) else text


def _compare_sets(gold: str, reply: str) -> Comparison | None:
    """Compare two texts as sets of real numbers, None where one of them is none."""
    wanted = read_set(_without_label(gold), _value)
    found = read_set(_without_label(reply), _value) if wanted is not None else None
    if wanted is None or found is None:
        return None
    if wanted.name and found.name and wanted.name != found.name:
        return Comparison(False, "different variable")
    equal = wanted.intervals == found.intervals
    return Comparison(equal, "same set" if equal else "different set")


def _without_label(text: str) -> str:
    label, equals, rest = text.partition("=")
    return rest if equals and label.strip() and not is_set(label) and not _OPERATION.search(label) else text


def _value(formula: str) -> Fraction | None:
    """The value of a constant formula without a unit."""
    quantity = read_quantity(formula)
    if quantity is not None:
        return quantity.value if quantity.unit is None and not quantity.percent else None
    return None if has_variables(formula) else real_value(formula)


def assigned(text: str) -> str | None:
    """What a text such as "x = 5" or "∠ABC = 35°" says that something is, None for any other text."""
    if "=" not in text or len(text) > MATH_CHARACTERS:
        return None
    try:
        node = parse_structure(normalize_math(text))
    except TooComplexError:
        return None
    return named_value(node) if isinstance(node, Relation) else None


def is_constant(text: str) -> bool:
    """Whether a text is a formula with a real value, such as 4π or 10√3 cm."""
    formula, _ = _split_unit(normalize_math(text))
    return not has_variables(formula) and real_value(formula) is not None


def _compare(gold: Node, reply: Node) -> Comparison:
    if isinstance(gold, Relation) and isinstance(reply, Relation):
        return _compare_relations(gold, reply)
    if isinstance(gold, Relation):
        return _compare_with_relation_gold(gold, reply)
    if isinstance(reply, Relation):
        interval = as_interval(reply) if isinstance(gold, Group) else None
        if interval:
            return _compare(gold, interval)
        result = _result(reply)
        return _compare(gold, parse_structure(result)) if result else _DIFFERENT_FORM
    if isinstance(gold, Group) and isinstance(reply, Group):
        return _compare_groups(gold, reply)
    if isinstance(gold, Group) and gold.brackets == "matrix" and isinstance(reply, Atom):
        return Comparison(*same_formula(_matrix_latex(gold), reply.text))
    if isinstance(gold, Group):
        single = len(gold.parts) == 1 and gold.brackets in _ONE_PART and gold.parts[0] != _EMPTY
        return _compare(gold.parts[0], reply) if single else _DIFFERENT_FORM
    if isinstance(reply, Group):
        single = len(reply.parts) == 1 and reply.brackets in _ONE_PART and reply.parts[0] != _EMPTY
        return _compare(gold, reply.parts[0]) if single else _DIFFERENT_FORM
    return _compare_atoms(gold.text, reply.text)


def _result(reply: Relation) -> str | None:
    """What a chain of equalities comes to; of "10√3 = 17.32", where the decimal only rounds the number, the number."""
    if len(reply.sides) == 2 and set(reply.signs) == {"="} and not has_variables("".join(reply.sides)):
        number = read_quantity(reply.sides[1])
        exact = real_value(reply.sides[0]) if number and number.step is not None else None
        if exact is not None and number is not None and compare_quantities(number, Quantity(exact))[0]:
            return reply.sides[0]
    return computed_value(reply)


def _compare_with_relation_gold(gold: Relation, reply: Node) -> Comparison:
    if isinstance(reply, Group):
        interval = as_interval(gold)
        if interval:
            return _compare(interval, reply)
    value = named_value(gold)
    return _compare(parse_structure(value), reply) if value else _DIFFERENT_FORM


def _compare_groups(gold: Group, reply: Group) -> Comparison:
    if "matrix" in (gold.brackets, reply.brackets) and gold.brackets != reply.brackets:
        gold, reply = _as_vector(gold), _as_vector(reply)
    if len(gold.parts) != len(reply.parts):
        return Comparison(False, "different number of parts")
    pair = {gold.brackets, reply.brackets}
    gold, reply = _without_numbering(gold, reply) if pair <= _LISTS else (gold, reply)
    if pair == {"cases"} or pair <= _LISTS or pair in ({"∪"}, {"{}"}, {"∪", "or"}) or ("{}" in pair and pair & _LISTS):
        if pair == _LISTS and any(_is_inequality(part) for part in gold.parts):
            return _DIFFERENT_FORM
        return _compare_unordered(gold, reply)
    # Two numbers in square brackets are a closed interval; longer ones are a list.
    is_interval = len(gold.parts) == 2 and bool(pair - {"()", *_LISTS})
    same_order = len(pair) == 1 or (pair <= {"()", "[]", *_LISTS} and not is_interval)
    if not same_order or not pair & _ORDERED:
        return _DIFFERENT_FORM
    return _all_equal([_compare(left, right) for left, right in zip(gold.parts, reply.parts, strict=True)])


def _matrix_latex(matrix: Group) -> str:
    rows = [row.parts for row in matrix.parts if isinstance(row, Group)]
    entries = ["&".join(entry.text if isinstance(entry, Atom) else "?" for entry in row) for row in rows]
    return "\\begin{matrix}" + "\\\\".join(entries) + "\\end{matrix}"


def _as_vector(group: Group) -> Group:
    """A matrix of one row or one column as the tuple of its entries; any other group as it is."""
    rows = [row.parts for row in group.parts if isinstance(row, Group) and group.brackets == "matrix"]
    if len(rows) == 1:
        return Group("()", rows[0])
    if rows and all(len(row) == 1 for row in rows):
        return Group("()", tuple(row[0] for row in rows))
    return group


_NUMBERED = re.compile(r"([a-z])_\{[0-9]\}")


def _without_numbering(gold: Group, reply: Group) -> tuple[Group, Group]:
    """x_1 = 4, x_2 = -1 as 4, -1 on both sides: which root of an equation is the first is arbitrary."""
    found = []
    for group in (gold, reply):
        relations = [part for part in group.parts if isinstance(part, Relation) and part.signs == ("=",)]
        names = [match[1] for part in relations if (match := _NUMBERED.fullmatch(part.sides[0]))]
        if len(names) < len(group.parts) or len(set(names)) > 1:
            return gold, reply
        found.append(Group(group.brackets, tuple(parse_structure(part.sides[1]) for part in relations)))
    return found[0], found[1]


def _is_inequality(node: Node) -> bool:
    return isinstance(node, Relation) and bool(INEQUALITIES.intersection(node.signs))


def _compare_unordered(gold: Group, reply: Group) -> Comparison:
    remaining = list(reply.parts)
    for part in gold.parts:
        match = next((other for other in remaining if _compare(part, other).equal), None)
        if match is None:
            return Comparison(False, "different parts")
        remaining.remove(match)
    return Comparison(True, "same parts")


def _all_equal(comparisons: list[Comparison]) -> Comparison:
    return next((each for each in comparisons if not each.equal), Comparison(True, "same parts in order"))


def _compare_relations(gold: Relation, reply: Relation) -> Comparison:
    gold, reply = ascending(gold), ascending(reply)
    gold_value, reply_value = named_value(gold), named_value(reply)
    if gold_value and reply_value and squeeze(gold.sides[0]) == squeeze(reply.sides[0]):
        return _compare(parse_structure(gold_value), parse_structure(reply_value))
    if gold.signs != reply.signs:
        return Comparison(False, "different relation")
    orders = [reply.sides]
    if set(gold.signs) <= {"=", "≠"}:
        orders.append(tuple(reversed(reply.sides)))
    for sides in orders:
        pairs = zip(gold.sides, sides, strict=True)
        if all(_compare(parse_structure(left), parse_structure(right)).equal for left, right in pairs):
            return Comparison(True, "same relation")
    if len(gold.sides) == 2 and not is_solution(gold):
        # Both are "something = 0" or "something < 0"; a constant factor, positive for inequalities, changes nothing.
        # A gold such as x = 5 is a solution, which the equation that it solves does not answer.
        sign = ratio_sign(*(f"({sides[0]})-({sides[1]})" for sides in (gold.sides, reply.sides)))
        if sign > 0 or (sign < 0 and gold.signs[0] in "=≠"):
            return Comparison(True, "same relation")
    return Comparison(False, "different relation")


def _compare_atoms(gold: str, reply: str) -> Comparison:
    if squeeze(gold) == squeeze(reply):
        return Comparison(True, "same text")
    gold_quantity, reply_quantity = read_quantity(gold), read_quantity(reply)
    if gold_quantity and reply_quantity:
        return Comparison(*compare_quantities(gold_quantity, reply_quantity))
    if _is_prose(gold):
        return _text(gold, reply)
    if gold_quantity and _is_calculation(reply):
        return Comparison(False, "unfinished calculation")
    gold, gold_unit = _split_unit(gold)
    reply, reply_unit = _split_unit(reply)
    if reply_quantity and not reply_unit and reply_quantity.unit:
        # A counted noun behind the number is no unit that a formula could have.
        reply = str(reply_quantity.value)
    if gold_unit and reply_unit and gold_unit != reply_unit:
        factors = _factors(gold_unit, reply_unit)
        if factors is None:
            return Comparison(False, "different unit")
        gold, reply = f"({gold}){factors[0]}", f"({reply}){factors[1]}"
        gold_quantity = reply_quantity = None
    if gold_quantity and gold_quantity.step is not None:
        return _compare_value(gold_quantity, reply)
    if reply_quantity and reply_quantity.step is not None:
        exact = real_value(gold)
        equal = exact is not None and states_digits_of(reply_quantity, exact)
        if equal:
            return Comparison(True, "same number")
    if _foreign_words(gold, reply):
        return Comparison(False, "different text")
    return Comparison(*same_formula(gold, reply))


_WORD = re.compile(r"(?<![A-Za-z\\])[A-Za-z]{2,}")


def _foreign_words(gold: str, reply: str) -> bool:
    """Whether a reply has words that no product of the gold's variables spells: such a formula is not the gold's."""
    return any(not set(word) <= set(gold) for word in _WORD.findall(reply))


def _factors(gold: Unit, reply: Unit) -> tuple[str, str] | None:
    """What brings two formulas with different units to one unit, None where the units measure different things."""
    degree, radian = known_unit("°"), known_unit("rad")
    if (gold, reply) == (degree, radian):
        return "", _DEGREES_PER_RADIAN
    if (gold, reply) == (radian, degree):
        return _DEGREES_PER_RADIAN, ""
    ways = conversions(gold, reply)
    if len(ways) != 1 or ways[0].shift:
        return None
    return "", f" \\cdot \\frac{{{ways[0].factor.numerator}}}{{{ways[0].factor.denominator}}}"


_DEGREES_PER_RADIAN = " \\cdot \\frac{180}{\\pi }"
_ARITHMETIC = re.compile(r"(?:[0-9.,+\-*/(){}^ ]|\\(?:frac|cdot|times|div)(?![A-Za-z]))+")
_OPERATION = re.compile(r"(?<=[0-9)}])\s*(?:[-+*/(]|\\(?:cdot|times|div))")


# A prime factorisation or a continued fraction is a way to write a number too.
_FORM = re.compile(r"[0-9]\s*\^|\\frac\{[^{}]*\}\{[^{}]*\\frac")


def _is_calculation(formula: str) -> bool:
    """Whether a formula only repeats a calculation with numbers, which is the question rather than its answer.

    A power, a root or a fraction is a way to write a number.
    """
    return bool(_ARITHMETIC.fullmatch(formula) and _OPERATION.search(formula)) and not _FORM.search(formula)


def _compare_value(gold: Quantity, formula: str) -> Comparison:
    """Whether a formula's value rounds to a gold with decimal places.

    Raises:
        RuntimeError: the symbolic worker cannot be started.
    """
    value = real_value(formula)
    if value is None:
        return Comparison(False, "not a number")
    return Comparison(*compare_quantities(gold, Quantity(value)))


def _split_unit(formula: str) -> tuple[str, Unit | None]:
    """A formula and the unit of measurement behind it, which must be set off by a space or be a degree sign.

    Behind a formula with variables a single letter is one more variable: 2πr h is no number of hours.
    """
    if formula.endswith("°") and not takes_angle(formula):
        return formula[:-1], known_unit("°")
    words = formula.split(" ")
    for count in (3, 2, 1):
        body, spelling = " ".join(words[:-count]), " ".join(words[-count:])
        if body and is_placeholder(spelling):
            return body, None
        unit = known_unit(spelling)
        if unit and len(spelling.rstrip("^{}23")) == 1 and has_variables(body):
            continue
        if body and unit and not body.endswith(("\\cdot", "\\times", "\\div", "+", "-", "*", "/")):
            return body, unit
    return formula, None


_LONGER_WORD = re.compile(r"(?!and$)[^\W\d_]{3,}|[Nn]o")


def _is_prose(text: str) -> bool:
    """Whether a text holds words rather than a formula: two longer ones, or one among nothing but words."""
    tokens = text.replace("\\", " \\").split()
    words = [token for token in tokens if _LONGER_WORD.fullmatch(token)]
    return len(words) > 1 or (len(words) == 1 and all(token.isalpha() for token in tokens))


def _text(gold: str, reply: str) -> Comparison:
    equal = same_text(gold, reply)
    return Comparison(equal, "same text" if equal else "different text")
