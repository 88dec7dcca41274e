"""MATH-Vision (MATH-V): rules find the answer, which must equal the reference's letter or its option by text or value.

Source: mathllm/MATH-V, evaluation/evaluate.py and evaluation/utils.py; lmms-eval's standard scoring
(lmms_eval/tasks/mathvision/utils.py, eval_utils.py) is a copy, lately with a repair of `\\sqrt[3]`. VLMEvalKit
(vlmeval/dataset/utils/mathv.py) differs throughout: a model extracts, letters are inferred, values agree to 1e-6.

Quirks kept in finding the answer:
- a reply that ends in " B." or " (B)." or begins with a line "B" is that letter, letters A to E only;
- what follows the last "is " is the answer where it is a number, also after a word such as "this ";
- without a box, four phrases cut the reply to the end of the line or to ". "; "Answer: B" is none of them;
- of several boxes the last counts, of "a = b = c" what follows the last "=";
- everything is in small letters; "**B**", "B)" and "Option B" stay as they are and are wrong;
- units go only where they are "units", "km" or "m^3", degrees only as `^\\circ`; what `\\text{...}` holds stays;
- `\\frac12` is mended only beside a root, and a root with an index is spoilt.

Quirks kept in comparing:
- the reference is not cleaned: "30" is not the option "$30^{\\circ}$", and a broken escape there is never met;
- values are rounded to two decimals, so that 0.001 is 0.004 and 3.14 is `\\pi`;
- a ratio is a quotient: "3:45" is "3:46", and "0.5" is "1:2";
- juxtaposition binds before "/": `1/2\\pi` is 1/(2π);
- "1,234" is one number, "1,2" is none, and in a tuple every comma separates;
- in tuples and lists values are compared as Python writes them, so that `(\\frac{6}{2},1)` is not "(3,1)";
- what follows a complete value is not read from a closing bracket on.

The original hands both sides to latex2sympy2 and the result to `eval`. Here a small reader does the arithmetic of
numbers, + - * / : ^ ! and their commands, brackets, `\\frac`, `\\sqrt`, `\\pi` and `\\%`. It is narrower: trigonometry,
logarithms, `e^x`, `\\binom`, floor brackets and relations between numbers have no value, nor have integers beyond
10,000 bits. Answers with letters have none in the original either, as its `eval` knows no symbols. The script asks no
model, so that `model_answer` is not used.

Rows: the data set's card (MathLLMs/MathVision, README.md), the authors' data/test.jsonl, and what lmms-eval's
utils.py reads of them: `id`, `question` (with a mark such as `<image1>` where a picture belongs), `options` (a list,
empty for free answers), `answer`, `level`, `subject` and `decoded_image`. A question has one picture: where it has
more marks than that (335 of 3,040), the picture shows all of what they stand for, and the marks are left in the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from reassess.benchmarks import _rows
from reassess.benchmarks.item import Item, Outcome
from reassess.example import Example
from reassess.prompts import IMAGE
from reassess.sources import fields
from reassess.sources.published import Card, Hub

VERSION = 1
# No revision was seen in public code, and no licence on a card.
SOURCE = Hub("MathLLMs/MathVision", "test", None, licence=None, rows=3040)
MODALITY = "visual"
CARD = Card(
    "Problems of mathematical competitions with a picture, in 16 subjects and 5 levels; half are choices among five.",
    traps=(
        "384 choices have just the letters A to E for options: the picture shows them.",
        "335 questions have several marks for pictures and one picture, which shows all of them.",
        "Some right answers have damaged LaTeX: 69{degrees}, a form feed for the f of a fraction. They are repaired; "
        "the official rule sees them as published, and takes no reply for right where they cannot be read.",
        "Two free questions have a letter for an answer, which the picture shows.",
        "The official rule rounds to two decimals: 3.14 is π, and 0.001 is 0.004.",
    ),
    prompt='Please solve the problem step by step and put your answer in one "\\boxed{}".{question}\\nChoices: '
    "A. {option} ...",
    metric="Accuracy by rules, over all questions, by subject and by level.",
)
METADATA: frozenset[str] = frozenset()

# evaluate.py: the letters it looks for, and the phrases, each tried with a small and with a capital first letter.
_LETTERS = "ABCDE"
_PHRASES = ("the final answer is", "the answer is", "the correct answer is", "the answer should be")

_MAX_BITS = 10_000
_MAX_FACTORIAL = 1_000
_MAX_DEPTH = 40

# The tokens of latex2sympy2's grammar (OrangeX4/latex2sympy, PS.g4) that the reader below knows.
_DIGITS = r"(?:[0-9]*(?:,[0-9]{3})*\.[0-9]+|[0-9]+(?:,[0-9]{3})*)(?:\\%)?"
_TOKEN = re.compile(rf"{_DIGITS}|\\[a-z]+|\\[{{}}]|.", re.DOTALL)
_TIMES = frozenset({"*", "\\times", "\\cdot"})
_DIVIDE = frozenset({"/", ":", "\\over", "\\div"})
_BRACKETS = {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}
_BEYOND = frozenset({"", ")", "]", "}", "\\}", "_", ".", "&"})
# Removed by latex2sympy2 before it reads, in this order.
_BLANKS = ("\\displaystyle", "\\quad", "\\qquad", "~", "\\,", "$")

_Number = int | float

_MARK = re.compile(r"<image([0-9]+)>")
# What was the text of a unit: "69{degrees}", "8\\sqrt{3}{squareinches}".
_UNIT = re.compile(r"(?<![a-z])\{(square)?([a-z]{3,})\}$")


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    published, options = fields.text(row, "answer"), _rows.options(row, "options")
    question, images = fields.text(row, "question"), fields.images(row, "decoded_image")
    if len(_MARK.findall("\n".join((question, *options)))) == len(images) == 1:
        question, options = (_MARK.sub(IMAGE, question), tuple(_MARK.sub(IMAGE, option) for option in options))
    gold = _repaired(published)
    level = fields.value(row, "level")
    return Example(
        id=_rows.word(row, "id"),
        images=images,
        question=question,
        options=options,
        gold=gold,
        kind="mcq" if options else _rows.number_or_math(gold),
        rationales=(),
        source="mathvision",
        family=fields.text(row, "subject"),
        difficulty=level if isinstance(level, int) else 0,
        metadata=_rows.metadata({}, gold=published),
    )


def _repaired(published: str) -> str:
    """Return a right answer without blanks at its ends, its broken LaTeX mended where it is sure."""
    text = published.strip(" \t\n\r").replace("\x0crac", "\\frac")
    return _UNIT.sub(lambda unit: r" \text{ " + ("square " if unit[1] else "") + unit[2] + "}", text)


def judge(item: Item) -> Outcome:
    """Follow evaluate.py for one line."""
    answer = _find_answer(item.reply)
    how = _same(item.gold, answer)
    if how:
        return Outcome(True, answer, how)
    index = ord(item.gold) - ord("A") if len(item.gold) == 1 else -1
    how = _same(item.options[index], answer) if 0 <= index < len(item.options) else ""
    return Outcome(bool(how), answer, f"the option's text: {how}" if how else "not equal")


def _find_answer(reply: str) -> str:
    text = reply.strip()
    for letter in _LETTERS:
        ends = (f" {letter}.", f" ({letter}).")
        if text.endswith(ends) or text.startswith((f"{letter}\n", f"({letter})\n", f"({letter}) {letter}\n")):
            text = letter
    number = text.split("is ")[-1].rstrip(".")
    if _is_number(number):
        text = number
    if "oxed{" not in text:
        for phrase in _PHRASES:
            text = _behind(text, phrase)
            text = _behind(text, phrase.replace("the", "The"))
    elif text.count("oxed{") > 1:
        text = "\\boxed{" + text.split("oxed{")[-1]
    text = _clean(text)
    for opening, closing in ("()", "{}"):
        for letter in _LETTERS.lower():
            text = text.replace(f"{opening}{letter}{closing}", letter)
    return text.rstrip(".").lstrip(":").strip()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _behind(text: str, phrase: str) -> str:
    rest = text.split(phrase)[-1].strip()
    return rest.split("\n")[0].split(". ")[0] if phrase in text else rest


def _clean(text: str) -> str:
    """What the box holds, or all where there is none, without blanks, units and commands (find_math_answer)."""
    text = text.lower().replace("{}", "")
    start, end = text.find("oxed{"), text.rfind("}")
    if start >= 0 and end >= start + len("oxed{"):
        text = text[start + len("oxed{") : end]
    if "}" in text and "{" not in text.split("}")[0]:
        text = text.split("}")[0]
    text = text.split("=")[-1].split("\\approx")[-1]
    text = text.replace(" ", "").replace("\\,", "").replace("∞", "\\infty").replace("+\\infty", "\\infty")
    text = text.replace("\\\\", "\\").replace("\n", "")
    text = text.replace("\\text", "").replace("\\mbox", "").replace("bmatrix", "pmatrix")
    for part in ("\\left", "\\right", "^{\\circ}", "^\\circ", "{m}^3", "m^3", "{units}", "units", "{km}", "km"):
        text = text.replace(part, "")
    return _strip(text)


def _strip(text: str) -> str:
    """The second half of the cleaning (_strip_string), less what the first has done for good."""
    text = text.replace("\\!", "").replace("\\\\", "\\").replace("tfrac", "frac").replace("dfrac", "frac")
    for part in ("\\left", "\\right", "^{\\circ}", "^\\circ", "\\$", "$", "\\%"):
        text = text.replace(part, "")
    text = text.replace("{.", "{0.")
    if text.startswith("."):
        text = f"0{text}"
    if text.count("\\approx") == 1:
        text = text.split("\\approx")[-1]
    if "sqrt" in text:
        text = _mend_fractions(_mend_roots(text))
    return _slash_as_fraction("\\frac{1}{2}" if text == "0.5" else text)


def _mend_roots(text: str) -> str:
    first, *rest = text.split("\\sqrt")
    return first + "".join(
        f"\\sqrt{part}" if part[:1] in ("", "{") else f"\\sqrt{{{part[0]}}}{part[1:]}" for part in rest
    )


def _mend_fractions(text: str) -> str:
    first, *rest = text.split("\\frac")
    mended = first
    for part in rest:
        if part.startswith("{"):
            mended += f"\\frac{part}"
        elif len(part) < 2:
            return text
        elif part[1] == "{":
            mended += f"\\frac{{{part[0]}}}{part[1:]}"
        else:
            mended += f"\\frac{{{part[0]}}}{{{part[1]}}}{part[2:]}"
    return mended


def _slash_as_fraction(text: str) -> str:
    parts = text.split("/")
    if len(parts) != 2:
        return text
    try:
        upper, lower = (int(part) for part in parts)
    except ValueError:
        return text
    return f"\\frac{{{upper}}}{{{lower}}}" if text == f"{upper}/{lower}" else text


def _same(reference: str, answer: str) -> str:
    """How the two are equal, empty where they are not (is_equal)."""
    reference, answer = reference.lower(), answer.lower()
    if not reference.replace(" ", "") or not answer.replace(" ", ""):
        return ""
    if reference.strip() == answer.strip():
        return "equal text"
    reference, answer = _tuple_of_values(reference), _tuple_of_values(answer)
    if reference == answer:
        return "equal members"
    return "equal value" if same_value(reference, answer) else ""


def same_value(reference: str, answer: str) -> bool:
    """Return whether two texts are arithmetic of the same value, rounded to two decimals."""
    try:
        return _rounded(answer) == _rounded(reference)
    except (ValueError, TypeError, ArithmeticError):
        return False


def _tuple_of_values(text: str) -> str:
    parts = text[1:-1].split(",")
    if len(parts) < 2 or text[0] + text[-1] not in ("()", "[]"):
        return text
    try:
        values = [part if "infty" in part or part in ("a", "-a") else str(_rounded(part)) for part in parts]
    except (ValueError, TypeError, ArithmeticError):
        return text
    return f"{text[0]}{','.join(values)}{text[-1]}"


def _rounded(text: str) -> _Number:
    return round(_Reader(text).value(), 2)


class _Reader:
    """Reads arithmetic as latex2sympy2 and `eval` together do, with Python's integers and floats.

    Raises ValueError, TypeError or ArithmeticError for anything else.
    """

    def __init__(self, text: str) -> None:
        text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
        for part in _BLANKS:
            text = text.replace(part, " ")
        for bracket in ("\\bigl(", "\\left(", "\\bigr)", "\\right)"):
            text = text.replace(bracket, bracket[-1])
        self._text = text
        self._end = 0
        self._depth = 0
        self._token = ""
        self._next()

    def value(self) -> _Number:
        """The value of the whole text, or of what precedes a bracket that closes nothing."""
        value = self._sum()
        if self._token not in _BEYOND:
            raise ValueError(self._token)
        return value

    def _next(self) -> str:
        """Step to the next token, and return the one that is left behind."""
        left = self._token
        while self._end < len(self._text) and self._text[self._end] in " \t\r\n":
            self._end += 1
        match = _TOKEN.match(self._text, self._end)
        self._token = match[0] if match else ""
        self._end += len(self._token)
        return left

    def _sum(self) -> _Number:
        value = self._product()
        while self._token in ("+", "-"):
            value = value + self._product() if self._next() == "+" else value - self._product()
        return _bounded(value)

    def _product(self) -> _Number:
        value = self._signed()
        while self._token in _TIMES or self._token in _DIVIDE:
            value = value * self._signed() if self._next() in _TIMES else value / self._signed()
            value = _bounded(value)
        return value

    def _signed(self) -> _Number:
        sign = 1
        while self._token in ("+", "-"):
            sign = -sign if self._next() == "-" else sign
        value = self._postfix()
        while self._is_operand():
            value = _bounded(value * self._postfix())
        return sign * value

    def _is_operand(self) -> bool:
        return self._token in _BRACKETS or self._token in ("\\frac", "\\sqrt", "\\pi") or self._is_literal()

    def _is_literal(self) -> bool:
        return "0" <= self._token.removesuffix("\\%")[-1:] <= "9"

    def _postfix(self) -> _Number:
        value = self._power()
        while self._token in ("!", "'"):
            if self._next() == "!":
                if not isinstance(value, int) or value > _MAX_FACTORIAL:
                    raise ValueError("factorial")
                value = math.factorial(value)
        return value

    def _power(self) -> _Number:
        value = self._operand()
        while self._token == "^":
            self._next()
            if self._token == "{":
                exponent = self._bracket()
            elif self._token == "\\pi" or self._is_literal():
                exponent = self._operand()
            else:
                raise ValueError("exponent")
            value = _raised(value, exponent)
        return value

    def _operand(self) -> _Number:
        if self._is_literal():
            token = self._next()
            number = Fraction(token.removesuffix("\\%").replace(",", "")) / (100 if token.endswith("%") else 1)
            return number.numerator if number.denominator == 1 else number.numerator / number.denominator
        if self._token in _BRACKETS:
            return self._bracket()
        command = self._next()
        if command == "\\pi":
            return math.pi
        if command == "\\frac":
            upper = self._braced()
            return upper / self._braced()
        if command == "\\sqrt":
            index = self._bracket() if self._token == "[" else 2
            base = self._braced()
            return math.sqrt(base) if index == 2 else _raised(base, 1 / index)
        raise ValueError(command)

    def _braced(self) -> _Number:
        if self._token != "{":
            raise ValueError("no brace")
        return self._bracket()

    def _bracket(self) -> _Number:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError("depth")
        closing = _BRACKETS[self._next()]
        value = self._sum()
        if self._token != closing:
            raise ValueError(self._token)
        self._next()
        self._depth -= 1
        return value


def _raised(base: _Number, exponent: _Number) -> _Number:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > _MAX_BITS:
        raise OverflowError("power")
    value = base**exponent
    if isinstance(value, complex):
        raise TypeError("complex")
    return float(value) if isinstance(value, float) else int(value)


def _bounded(value: _Number) -> _Number:
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise OverflowError("integer")
    return value
