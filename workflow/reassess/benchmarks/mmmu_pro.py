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
"""

from __future__ import annotations

from reassess.benchmarks._letters import lettered, read_letter
from reassess.benchmarks.item import Item, Outcome

METADATA: frozenset[str] = frozenset()

_FORMS = ("({})", "{} ", "{}.")
_MARKER = "Answer:"


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
