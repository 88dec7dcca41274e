"""The easy-vqa source: questions about one coloured shape in a picture, published as a Python package.

Rows: easy_vqa 1.0 (github.com/vzhou842/easy-VQA, MIT): `data/{split}/questions.json`, a list of question, answer and
number of the picture, and `data/{split}/images/{number}.png`, 64 x 64 pixels. 38,575 questions on 4,000 pictures to
train on, 9,673 on 1,000 to test with; 13 answers: yes and no, three shapes, eight colours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Literal

from reassess.example import DataError, Example
from reassess.sources.base import Modality, SourceOptions
from reassess.spec import Positive

NAME = "easy-vqa"
FAMILIES = {"yes": "yes/no", "no": "yes/no", **dict.fromkeys(("circle", "rectangle", "triangle"), "shape")}


class EasyVqaSource(SourceOptions):
    """Easy-VQA: real questions about simple pictures, small enough to try a study on a CPU."""

    kind: Literal["easy-vqa"]
    """Read from the package `easy_vqa`, which is installed: nothing is fetched."""
    split: Literal["train", "test"] = "train"
    """`train` for pools, `test` for benchmarks; they share no pictures."""
    n: Positive | None = None
    """Questions to take, evenly spread over the split; all of them by default."""
    rationale: str = ""
    """A fixed text that SFT has before every answer. The questions come without reasoning and none is made up for
    them, so that without this text they serve RL and benchmarks alone."""

    @property
    def licence(self) -> str:
        return "MIT"

    def misfits(self, modality: Modality, is_benchmark: bool) -> Iterator[str]:
        """Yield what is wrong with the split and the modality."""
        if is_benchmark != (self.split == "test"):
            yield f"split {self.split!r} is for {'pools' if is_benchmark else 'benchmarks'}"
        if modality == "text":
            yield "modality 'text' does not fit questions with pictures"

    def read(self) -> Iterator[Example]:
        """Yield the questions in the order of the package.

        Raises:
            DataError: the package is not installed, or has fewer questions than `n`.
        """
        try:
            folder = files("easy_vqa") / "data" / self.split
            questions = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
        except (ImportError, OSError) as error:
            raise DataError(f"{NAME}: the package easy_vqa cannot be read ({error}); pip install easy-vqa") from None
        n = self.n or len(questions)
        if n > len(questions):
            raise DataError(f"{NAME}: n is {n}, and split {self.split!r} has {len(questions)} questions")
        for number in (i * len(questions) // n for i in range(n)):
            question, answer, picture = questions[number]
            yield Example(
                id=f"{NAME}-{self.split}-{number:05d}",
                images=((folder / "images" / f"{picture}.png").read_bytes(),),
                question=question,
                options=(),
                gold=answer,
                kind="text",
                rationales=(self.rationale,) if self.rationale else (),
                source=NAME,
                family=FAMILIES.get(answer, "colour"),
                difficulty=0,
            )
