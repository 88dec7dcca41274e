"""Questions that stand in benchmarks too, found by what they say: 13 words in a row, or all of a short question.

Source: Brown et al. (2020), "Language Models are Few-Shot Learners", appendix C: n-grams of 13 words without
punctuation and case, of which those that match more than 10 training documents are ignored.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reassess.example import Example

WORDS = 13
BOILERPLATE = 10
# Words; a LaTeX command is one, and so is every character of a script that is written without spaces.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
# Of a short question every sign counts: 3 + 5 is not 3 - 5.
_SIGN = re.compile(_WORD.pattern + r"|[-−+*/×÷=<>≤≥≠^%°√|!]")
# The letter before an option: some sets have the options in the question, others in a list.
_LETTER = re.compile(r"(?<![^\s])\(?[A-Ja-j][).:]\s")
_PLACE = re.compile(r"<image[ _]?\d*>")
# What benchmarks, and sets that follow them, say beside the question.
# Source: the `query` columns of MathVista and MathVerse; the prompts of VLMEvalKit, lmms-eval, verl and MathVision.
_HINTS = re.compile(
    r"^\s*hint:.*$"
    r"|^\s*(question|choices|options):"
    r"|answer the question using a single word or phrase\.?"
    r"|answer (with|directly with) the (option's|option) letter from the given choices( directly)?\.?"
    r"|please select the correct answer from the options above\.?"
    r"|please reason step by step,? and put your final answer (within|in) \\boxed\{\}\.?"
    r"|please solve the problem step by step and put your answer in one [\"“]?\\boxed\{\}[\"”]?\.?"
    r"|let's think step by step( and output the final answer (after|within) \S+)?\.?",
    re.IGNORECASE | re.MULTILINE,
)


class Same(NamedTuple):
    """A question of a benchmark that another one is like.

    Attributes:
        row: the number of the row.
        shared: the words that both have.
    """

    row: int
    shared: str


class Texts:
    """The questions of benchmarks, by the hashes of their n-grams: as much memory as the benchmarks are long.

    First `add` the rows of the benchmarks, then `count` every row of the pool, then look rows up with `like`.

    Args:
        instruction: that of the study's prompt, which is no part of a question.
    """

    def __init__(self, instruction: str = "") -> None:
        self._instruction = instruction
        self._whole: dict[int, list[int]] = {}
        self._has_images: set[int] = set()
        self._added: set[tuple[str, int]] = set()
        self._counted: set[int] = set()
        self._hashes, self._rows = array("Q"), array("L")
        self._index: _Index | None = None

    def add(self, row: int, benchmark: str, item: Example) -> None:
        """Add a row of a benchmark; for n-grams, the first of its rows that say the same stands for all.

        Args:
            row: its number, by which it is named when it is found.
            benchmark: its benchmark.
            item: the row.
        """
        text = self._text(item)
        key = _key(text)
        self._whole.setdefault(key, []).append(row)
        if item.images:
            self._has_images.add(row)
        if (benchmark, key) not in self._added:
            self._added.add((benchmark, key))
            hashes = {_hash(gram) for gram in _grams(_words(text))}
            self._hashes.extend(hashes)
            self._rows.extend([row] * len(hashes))

    def count(self, item: Example) -> None:
        """Count the n-grams of a row of the pool, unless another row says the same."""
        text = self._text(item)
        index = self._indexed()
        places = index.places({_hash(gram) for gram in _grams(_words(text))})
        key = _key(text)
        if len(places) and key not in self._counted:
            self._counted.add(key)
            index.counts[places] += 1

    @property
    def ignored(self) -> int:
        """How many n-grams of the benchmarks are not compared: more than `BOILERPLATE` different texts have them."""
        index = self._indexed()
        return int(index.is_boilerplate(np.arange(len(index.hashes))).sum())

    def like(self, item: Example, alike: Iterable[int]) -> list[Same]:
        """Return the rows of benchmarks that say the same as a row of the pool.

        A question of fewer words than an n-gram counts only where the pictures are the same too, or where neither has
        any: "Find x." stands below a thousand diagrams.

        Args:
            item: the row of the pool.
            alike: the rows of benchmarks with a picture like one of its own.
        """
        text = self._text(item)
        words = _words(text)
        equal = self._whole.get(_key(text), [])
        if len(words) < WORDS:
            seen = set(alike)
            equal = [row for row in equal if row in seen or not (item.images or row in self._has_images)]
            return [Same(row, " ".join(words)) for row in equal]
        found = {row: Same(row, " ".join(words)) for row in equal}
        index = self._indexed()
        grams = {_hash(gram): gram for gram in _grams(words)}
        places = index.places(grams)
        for place in places[~index.is_boilerplate(places)]:
            shared = " ".join(grams[int(index.hashes[place])])
            for row in index.rows[index.starts[place] : index.starts[place + 1]]:
                found.setdefault(int(row), Same(int(row), shared))
        return list(found.values())

    def _text(self, item: Example) -> str:
        text = "\n".join((item.question, *item.options))
        return normalised(text.replace(self._instruction, " ") if self._instruction else text)

    def _indexed(self) -> _Index:
        if self._index is None:
            self._index = _Index(self._hashes, self._rows)
        return self._index


class _Index:
    """N-grams in the order of their hashes.

    Attributes:
        hashes: each once.
        starts: where the rows of each start in `rows`; one more entry than hashes.
        rows: the rows that have it, of one after the other.
        counts: how many different texts of the pool have it.
    """

    def __init__(self, hashes: array[int], rows: array[int]) -> None:
        found = np.array(hashes, dtype=np.uint64)
        order = found.argsort(kind="stable")
        self.rows = np.array(rows, dtype=np.int64)[order]
        self.hashes, starts = np.unique(found[order], return_index=True)
        self.starts = np.append(starts, len(found))
        self.counts = np.zeros(len(self.hashes), dtype=np.int64)

    def places(self, hashes: Collection[int]) -> NDArray[np.int64]:
        """Return where those of some hashes stand that are there."""
        wanted = np.array(sorted(hashes), dtype=np.uint64)
        found = self.hashes.searchsorted(wanted)
        is_there = found < len(self.hashes)
        is_there[is_there] = self.hashes[found[is_there]] == wanted[is_there]
        return found[is_there]

    def is_boilerplate(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of those at some places too many different texts have, of the benchmarks or of the pool."""
        texts = np.maximum(self.starts[places + 1] - self.starts[places], self.counts[places])
        found: NDArray[np.bool_] = texts > BOILERPLATE
        return found


def normalised(text: str) -> str:
    """Return a question without what does not tell it from others: case, forms of characters, hints, places of images.

    Signs are still there.
    """
    folded = unicodedata.normalize("NFKC", _PLACE.sub(" ", text)).casefold()
    return " ".join(_SIGN.findall(_LETTER.sub(" ", _HINTS.sub(" ", folded))))


def _words(text: str) -> list[str]:
    """Return the words of a normalised text, without signs."""
    return _WORD.findall(text)


def _grams(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1))


def _hash(gram: Iterable[str]) -> int:
    return int.from_bytes(blake2b(" ".join(gram).encode(), digest_size=8).digest())


def _key(text: str) -> int:
    return _hash((text,))
