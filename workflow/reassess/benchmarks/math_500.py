r"""MATH-500: the last box, compared with the gold as text after MATH's normalisation.

Sources: hendrycks/math, modeling/math_equivalence.py, in the form of EleutherAI/lm-evaluation-harness,
lm_eval/tasks/hendrycks_math/utils.py (strip_string, is_equiv, last_boxed_only_string, remove_boxed). The verdict takes
the last box of the reply, as MATH's own scripts do, and where none can be read what the harness reads: all from the
first "$" to the last, else the whole reply (lm_eval/tasks/aime/utils.py has the same functions in just this order).
With a model's answer on record the verdict is that of openai/simple-evals, math_eval.py: whether its equality checker
said "yes"; such answers should be on record for all replies or for none.

The reason ends in what two further rules say:
- hendrycks_math500 of the harness, which reads no box: a reply in which the box stands alone, or in dollars, is wrong;
- minerva_math500 of the harness (lm_eval/tasks/minerva_math/utils.py): text behind "Final Answer: The final answer is"
  up to "I hope it is correct.", normalised as in Minerva's appendix D. Equal texts are right (before its pull request
  4034 of August 2026 they were wrong where sympy cannot parse them, as tuples), others it leaves to sympy.

Quirks kept:
- with "\boxed " (a space) anywhere, the last of these counts up to the next "$", even where "\boxed{" follows later;
- escaped braces count as braces; a box that does not close, "\fbox" and "\boxed" with anything else behind it are none;
- spaces, line breaks, "\!", "\left", "\right", degrees, "\$" and "\%" do not matter, "%", "$", "\,", tabs
  and "\text{cm}" do;
- "\text{ " begins a unit that is cut off with all behind it; with two of them the raw texts are compared;
- up to two characters before a single "=" are cut off: "x = 5" is 5, "ab = 5" is not;
- "\frac12", "\dfrac{1}{2}", "1/2" and "0.5" are equal, and so are ".5" and "0.5", "0.25" and "1/4" are not;
- "\sqrt3" is "\sqrt{3}", but "\sqrt 3" takes the space for the root's content;
- one "/" with anything but whole numbers at its sides, as in "\pi/4" or "a/b", makes the raw texts be compared (this is
  the harness's form; MATH's own goes on with the normalised ones), and so does an unfinished "\sqrt" or "\frac";
- numbers are texts: "5.0" is not 5, "1,000" is not 1000, and sets, tuples and sums have to keep their order.

Rows: the data set's card (HuggingFaceH4/MATH-500, README.md) and what lighteval's tasks/math_500.py reads: `problem`,
`solution`, `answer`, `subject`, `level` (1 to 5) and `unique_id`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reassess.benchmarks.item import Item, Outcome
from reassess.example import Example
from reassess.sources import fields
from reassess.sources.kinds import kind_of
from reassess.sources.published import Card, Hub

VERSION = 1
SOURCE = Hub("HuggingFaceH4/MATH-500", "test", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", licence=None, rows=500)
MODALITY = "text"
CARD = Card(
    "Problems of American mathematics competitions: 500 of the test split of MATH.",
    traps=(
        "By its own rule numbers are texts: 5.0 is not 5.",
        "Harnesses read different parts of a reply: a boxed answer alone is wrong by one of them.",
    ),
    prompt=(
        "{problem}\\n\\nlighteval asks for a last line `ANSWER: $ANSWER`; lm-evaluation-harness shows four worked "
        "examples that end in `Final Answer: The final answer is ... I hope it is correct.`"
    ),
    metric="Accuracy: the last box equals the gold after MATH's normalisation of texts.",
)
METADATA: frozenset[str] = frozenset()

_BOX, _SPACED_BOX = "\\boxed", "\\boxed "
_UNIT = "\\text{ "
# hendrycks_math/utils.py, strip_string: replaced one after the other, before units are cut off.
_BEFORE_UNITS = (
    ("\n", ""),
    ("\\!", ""),
    ("\\\\", "\\"),
    ("tfrac", "frac"),
    ("dfrac", "frac"),
    ("\\left", ""),
    ("\\right", ""),
    ("^{\\circ}", ""),
    ("^\\circ", ""),
    ("\\$", ""),
)
_AFTER_UNITS = (("\\%", ""), (" .", " 0."), ("{.", "{0."))
# The longest text before "=" that is cut off.
_NAME = 2

# minerva_math/utils.py, get_unnormalized_answer; the full stops of its pattern stand for any character.
_MINERVA_START = "Final Answer: The final answer is"
_MINERVA_END = "I hope it is correct."
# minerva_math/utils.py, SUBSTITUTIONS and REMOVED_EXPRESSIONS, from appendix D of Lewkowycz et al. (2022).
_MINERVA_REPLACED = (
    ("an ", ""),
    ("a ", ""),
    (".$", "$"),
    ("\\$", ""),
    ("\\ ", ""),
    (" ", ""),
    ("mbox", "text"),
    (",\\text{and}", ","),
    ("\\text{and}", ","),
    ("\\text{m}", "\\text{}"),
)
_MINERVA_REMOVED = (
    "square",
    "ways",
    "integers",
    "dollars",
    "mph",
    "inches",
    "ft",
    "hours",
    "km",
    "units",
    "\\ldots",
    "sue",
    "points",
    "feet",
    "minutes",
    "digits",
    "cents",
    "degrees",
    "cm",
    "gm",
    "pounds",
    "meters",
    "meals",
    "edges",
    "students",
    "childrentickets",
    "multiples",
    "\\text{s}",
    "\\text{.}",
    "\\text{\ns}",
    "\\text{}^2",
    "\\text{}^3",
    "\\text{\n}",
    "\\text{}",
    "\\mathrm{th}",
    "^\\circ",
    "^{\\circ}",
    "\\;",
    ",\\!",
    "{,}",
    '"',
    "\\dots",
)
_MINERVA_UNWRAPPED = ("\\text{", "\\textbf{", "\\overline{")


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is not usable."""
    gold = fields.text(row, "answer")
    level = fields.value(row, "level")
    return Example(
        id=fields.text(row, "unique_id"),
        images=(),
        question=fields.text(row, "problem"),
        options=(),
        gold=gold,
        kind=kind_of(gold),
        rationales=(),
        source="math_500",
        family=fields.text(row, "subject"),
        difficulty=level if isinstance(level, int) else 0,
    )


def judge(item: Item) -> Outcome:
    """The verdict of MATH's rule, or of simple-evals where its model's answer is on record."""
    gold, unboxed = _unpacked(item.gold), _in_dollars(item.reply)
    minerva = _minerva(item.reply, gold)
    others = (
        f"hendrycks_math500: {_word(_equivalent(unboxed, gold))}; "
        f"minerva_math500: {'left to sympy' if minerva is None else _word(minerva)}"
    )
    if item.model_answer is not None:
        correct = item.model_answer.lower().strip() == "yes"
        return Outcome(correct, _stated(item.reply), f"simple-evals: its equality checker; {others}")
    found = by_box(item)
    return found._replace(reason=f"{found.reason}; {others}")


def by_box(item: Item) -> Outcome:
    """The verdict of MATH's rule alone: the last box, else all between dollars, else the whole reply."""
    box = _boxed(item.reply)
    answer = _in_dollars(item.reply) if box is None else box
    return Outcome(_equivalent(answer, _unpacked(item.gold)), answer, "no box" if box is None else "the last box")


def _unpacked(gold: str) -> str:
    box = _boxed(gold)
    return gold if box is None else box


def _word(correct: bool) -> str:
    return "right" if correct else "wrong"


def _stated(reply: str) -> str | None:
    # simple-evals common.py, ANSWER_PATTERN.
    match = re.search(r"Answer\s*:\s*([^\n]+)", reply, re.IGNORECASE)
    return match[1] if match else None


def _boxed(text: str) -> str | None:
    if _SPACED_BOX in text:
        return text.rpartition(_SPACED_BOX)[2].partition("$")[0]
    start = text.rfind(_BOX)
    if start < 0 or not text.startswith("{", start + len(_BOX)):
        return None
    start += len(_BOX)
    depth = 0
    for brace in re.finditer("[{}]", text[start:]):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[start + 1 : start + brace.start()]
    return None


def _in_dollars(text: str) -> str:
    first, last = text.find("$"), text.rfind("$")
    return text[first + 1 : last] if first < last else text


def _equivalent(answer: str, gold: str) -> bool:
    left, right = _stripped(answer), _stripped(gold)
    return answer == gold if left is None or right is None else left == right


def _stripped(text: str) -> str | None:
    """The normalised text, None where the official code fails on it and compares the raw texts."""
    for old, new in _BEFORE_UNITS:
        text = text.replace(old, new)
    if text.count(_UNIT) > 1:
        return None
    text = text.partition(_UNIT)[0]
    for old, new in _AFTER_UNITS:
        text = text.replace(old, new)
    if not text:
        return text
    if text.startswith("."):
        text = "0" + text
    name, sign, value = text.partition("=")
    if sign and "=" not in value and len(name) <= _NAME:
        text = value
    rooted = _with_braced_roots(text)
    fractions = None if rooted is None else _with_braced_fractions(rooted.replace(" ", ""))
    if fractions is None:
        return None
    return _as_fraction("\\frac{1}{2}" if fractions == "0.5" else fractions)


def _with_braced_roots(text: str) -> str | None:
    head, *parts = text.split("\\sqrt")
    if not all(parts):
        return None
    return "\\sqrt".join([head, *(part if part[0] == "{" else f"{{{part[0]}}}{part[1:]}" for part in parts)])


def _with_braced_fractions(text: str) -> str | None:
    head, *parts = text.split("\\frac")
    fixed = [head]
    for part in parts:
        if not part:
            return None
        if part[0] == "{":
            fixed.append(part)
        elif len(part) < 2:
            return text
        elif part[1] == "{":
            fixed.append(f"{{{part[0]}}}{part[1:]}")
        else:
            fixed.append(f"{{{part[0]}}}{{{part[1]}}}{part[2:]}")
    return "\\frac".join(fixed)


def _as_fraction(text: str) -> str | None:
    above, bar, below = text.partition("/")
    if not bar or "/" in below:
        return text
    try:
        numerator, denominator = int(above), int(below)
        return f"\\frac{{{numerator}}}{{{denominator}}}" if text == f"{numerator}/{denominator}" else text
    except ValueError:
        return None


def _minerva(reply: str, gold: str) -> bool | None:
    """The verdict of minerva_math, None where it takes sympy."""
    found = _minerva_answer(reply)
    if found is None:
        return False
    answer = _minerva_plain(found)
    return True if answer and answer == _minerva_plain(gold) else None


def _minerva_answer(reply: str) -> str | None:
    # The harness appends the end itself, but without a space, so a reply that stops short is read only behind a space.
    for line in (reply + _MINERVA_END).split("\n"):
        start = line.find(_MINERVA_START)
        if start < 0:
            continue
        start += len(_MINERVA_START)
        # One character is lost before the end, meant to be a full stop, and one must follow its last word.
        end = line.find(f" {_MINERVA_END[:-1]}", start + 1, len(line) - 1)
        if end >= 0:
            return line[start : end - 1].strip()
    return None


def _minerva_plain(text: str) -> str:
    text = text.rpartition("=")[2]
    for old, new in _MINERVA_REPLACED:
        text = text.replace(old, new)
    for expression in _MINERVA_REMOVED:
        text = text.replace(expression, "")
    text = "\n".join(map(_minerva_line, text.split("\n")))
    text = re.sub(r"frac([^{])(.)", r"frac{\1}{\2}", text)
    text = re.sub(r"sqrt([^{])", r"sqrt{\1}", text).replace("$", "")
    digits = text.replace(",", "")
    return digits if digits.isdigit() else text


def _minerva_line(line: str) -> str:
    if line.count("$") > 1:
        line = f"${line.split('$', 2)[1]}$"
    for command in _MINERVA_UNWRAPPED:
        line = _unwrapped(line, re.escape(command) + "([^}]*)}")
    return _unwrapped(line, r"\\boxed\{(.*)}")


def _unwrapped(line: str, pattern: str) -> str:
    # Nothing matches behind the last brace, and before it every command does: so the search takes linear time.
    end = line.rfind("}") + 1
    return re.sub(pattern, r"\1", line[:end]) + line[end:]
