"""MMMU-Pro: the letter behind the last "Answer:", else a letter as MMMU reads it, in more forms and up to ten options.

Source: MMMU-Benchmark/MMMU, mmmu-pro/evaluate.py (mmmu_process_results, parse_multi_choice_response), the same for the
standard and the vision setting. Its result is the plain accuracy of one setting, so there is no summary here.

Quirks kept:
- behind the last "Answer:" (in just this case) a capital letter of exactly one option counts wherever it stands, inside
  of words too: "Answer: Both" is B;
- with two such letters ("Answer: B. Cells") the whole reply is read instead, as without "Answer:";
- "(X)" wins over "X ", and "X " over "X."; "X " needs no space before it, so "DNA is" is A;
- of several "(X)" the last counts; of several "X " or "X." the last that also has a space before it, and where none
  has, the first option of them all, not the last in the reply;
- marks are stripped from the ends one kind after the other, each once, and line breaks are no spaces;
- the article "A" and the pronoun "I" are letters, small letters are not;
- option texts count in replies of more than five words only, inside of words too;
- the gold must be the very letter: nothing is stripped from it;
- a reply without a letter gets one at random: None here, as for a question without options.

Rows: the data set's card (MMMU/MMMU_Pro, README.md) and what lmms-eval's utils.py reads of them: as those of MMMU, with
`subject` and without open questions; `mmmu_pro_4` and `mmmu_pro_vision` are the other two settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reassess.benchmarks._letters import lettered, read_letter
from reassess.benchmarks._mmmu import asked
from reassess.benchmarks.item import Item, Outcome
from reassess.example import Example
from reassess.sources.published import Card, Hub

VERSION = 1
# Most code of 2026 reads this commit. The one after it, 0d7426df, corrects one question, test_Chemistry_240.
SOURCE = Hub(
    "MMMU/MMMU_Pro",
    "test",
    "563f3e84bb3b90893083a1f039cfa13077f2302b",
    licence="Apache-2.0",
    configs=("standard (10 options)",),
    rows=1730,
)
MODALITY = "visual"
CARD = Card(
    "The questions of MMMU that text models could not answer, with up to ten options.",
    traps=(
        "The published MMMU-Pro score is the mean of this setting and `mmmu_pro_vision`.",
        "Options are shuffled, so that pictures do not stand in the order of their numbers.",
        "On 2026-10-04 a later revision corrected the question test_Chemistry_240; scores from before and after it are "
        "not of the same set.",
    ),
    prompt="{question}\\nA. {option} ...\\nAnswer with the option letter from the given choices directly.",
    metric="Accuracy over all questions of a setting.",
)
METADATA: frozenset[str] = frozenset()

_FORMS = ("({})", "{} ", "{}.")
_MARKER = "Answer:"


def example(row: Mapping[str, Any]) -> Example:
    """Return a row as an example. Raises DataError where a column is missing, RowError where a value is odd."""
    return asked(row, "mmmu_pro")


def judge(item: Item) -> Outcome:
    """The verdict of MMMU-Pro's own rule."""
    _, marker, tail = item.reply.rpartition(_MARKER)
    named = [letter for letter in lettered(item.options) if marker and letter in tail.strip()]
    if len(named) == 1:
        return Outcome(named[0] == item.gold, named[0], "the one letter behind the last Answer:")
    letter = read_letter(item.reply, item.options, _FORMS)
    if letter is None:
        return Outcome(None, None, "no option read: drawn at random" if item.options else "no options")
    return Outcome(letter == item.gold, letter, "the letter read")
