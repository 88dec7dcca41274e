"""An estimate of what the judge overlooks."""

from collections.abc import Sequence

from reassess.judge.extract import after_thinking, read_gold
from reassess.judge.normalize import repair_escapes, text_tokens
from reassess.judge.options import read_key

_CHARACTERS = 20_000


def contains_gold(response: str, gold: str, kind: str, options: Sequence[str] | None = None) -> bool:
    """Whether the gold stands somewhere behind the reasoning of a response, word for word.

    Of the responses that were judged wrong, the share that contain the gold is an upper estimate of the false
    negatives: hedges, lists of options and intermediate results contain it as well. Options count by their letter or
    their text.
    """
    reply = text_tokens(after_thinking(repair_escapes(response))[-_CHARACTERS:])
    return any(_stands_in(tokens, reply) for tokens in _spellings(gold, kind, options))


def _spellings(gold: str, kind: str, options: Sequence[str] | None) -> list[list[str]]:
    texts = read_gold(gold)
    if kind == "mcq":
        keys = [key for text in texts if (key := read_key(text, options))]
        texts = [key.text for key in keys if key.text is not None]
        for key in keys:
            if len(key.letters) == 1:
                (letter,) = key.letters
                texts += [letter, *([options[ord(letter) - ord("A")]] if options else [])]
    return [tokens for text in texts if (tokens := text_tokens(text))]


def _stands_in(wanted: list[str], tokens: list[str]) -> bool:
    return any(tokens[i : i + len(wanted)] == wanted for i in range(len(tokens) - len(wanted) + 1))
