"""When two mathematical answers are the same: structure by structure, cheap comparisons before symbolic ones."""

import re
from typing import NamedTuple

from reassess.judge.normalize import MATH_CHARACTERS, normalize_math, same_text, squeeze
from reassess.judge.quantity import Quantity, compare_quantities, read_quantity, states_digits_of
from reassess.judge.structure import (
    INEQUALITIES,
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
from reassess.judge.units import Unit, is_placeholder, known_unit

_ORDERED = frozenset({"()", "[]", "[)", "(]", ":"})
_LISTS = frozenset({",", "or"})
_ONE_PART = frozenset({"{}", "[]"})


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
    if max(len(gold), len(reply)) > MATH_CHARACTERS:
        return Comparison(False, "too long to compare")
    gold, reply = normalize_math(gold), normalize_math(reply)
    if squeeze(gold) == squeeze(reply):
        return Comparison(True, "same text")
    quantities = read_quantity(gold), read_quantity(reply)
    if quantities[0] and quantities[1]:
        return Comparison(*compare_quantities(quantities[0], quantities[1]))
    if _is_prose(gold):
        return _text(gold, reply)
    try:
        return _compare(parse_structure(gold), parse_structure(reply))
    except TooComplexError:
        return Comparison(False, "too complex to compare")


def _compare(gold: Node, reply: Node) -> Comparison:
    if isinstance(gold, Relation) and isinstance(reply, Relation):
        return _compare_relations(gold, reply)
    if isinstance(gold, Relation):
        return _compare_with_relation_gold(gold, reply)
    if isinstance(reply, Relation):
        interval = as_interval(reply) if isinstance(gold, Group) else None
        result = computed_value(reply)
        if interval:
            return _compare(gold, interval)
        return _compare(gold, parse_structure(result)) if result else _DIFFERENT_FORM
    if isinstance(gold, Group) and isinstance(reply, Group):
        return _compare_groups(gold, reply)
    if isinstance(gold, Group):
        single = len(gold.parts) == 1 and gold.brackets in _ONE_PART
        return _compare(gold.parts[0], reply) if single else _DIFFERENT_FORM
    if isinstance(reply, Group):
        single = len(reply.parts) == 1 and reply.brackets in _ONE_PART
        return _compare(gold, reply.parts[0]) if single else _DIFFERENT_FORM
    return _compare_atoms(gold.text, reply.text)


def _compare_with_relation_gold(gold: Relation, reply: Node) -> Comparison:
    if isinstance(reply, Group):
        interval = as_interval(gold)
        if interval:
            return _compare(interval, reply)
    value = named_value(gold)
    return _compare(parse_structure(value), reply) if value else _DIFFERENT_FORM


def _compare_groups(gold: Group, reply: Group) -> Comparison:
    if len(gold.parts) != len(reply.parts):
        return Comparison(False, "different number of parts")
    pair = {gold.brackets, reply.brackets}
    if pair <= _LISTS or pair in ({"∪"}, {"{}"}, {"∪", "or"}) or ("{}" in pair and pair & _LISTS):
        if pair == _LISTS and any(_is_inequality(part) for part in gold.parts):
            return _DIFFERENT_FORM
        return _compare_unordered(gold, reply)
    # Two numbers in square brackets are a closed interval; longer ones are a list.
    is_interval = len(gold.parts) == 2 and bool(pair - {"()", *_LISTS})
    same_order = len(pair) == 1 or (pair <= {"()", "[]", *_LISTS} and not is_interval)
    if not same_order or not pair & _ORDERED:
        return _DIFFERENT_FORM
    return _all_equal([_compare(left, right) for left, right in zip(gold.parts, reply.parts, strict=True)])


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
    if gold_unit and reply_unit and gold_unit != reply_unit:
        return Comparison(False, "different unit")
    if gold_quantity and gold_quantity.step is not None:
        return _compare_value(gold_quantity, reply)
    if reply_quantity and reply_quantity.step is not None:
        exact = real_value(gold)
        equal = exact is not None and states_digits_of(reply_quantity, exact)
        if equal:
            return Comparison(True, "same number")
    return Comparison(*same_formula(gold, reply))


_ARITHMETIC = re.compile(r"(?:[0-9.,+\-*/(){}^ ]|\\(?:frac|cdot|times|div)(?![A-Za-z]))+")
_OPERATION = re.compile(r"(?<=[0-9)}])\s*(?:[-+*/(]|\\(?:cdot|times|div))")


def _is_calculation(formula: str) -> bool:
    """Whether a formula only repeats a calculation with numbers, which is the question rather than its answer.

    A power, a root or a fraction is a way to write a number.
    """
    return bool(_ARITHMETIC.fullmatch(formula) and _OPERATION.search(formula))


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
