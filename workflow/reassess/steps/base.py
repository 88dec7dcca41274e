"""What every way to make a set of examples says of itself, and what those have in common that ask a model."""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, Protocol

from pydantic import StringConstraints, model_validator

from reassess.decoding import Decoding, Sampling
from reassess.example import Example, PutAside, RowError, Scored
from reassess.prompts import letter
from reassess.spec import ExistingFile, Name, Positive, Strict

# The model that the step of a recipe starts from which reads the set.
HERE = "here"
# Where a prompt file wants something of the example. Braces that stand twice are rare in mathematics.
_PLACE = re.compile(r"\{\{\s*([a-z0-9_]+)\s*\}\}")
_FIELDS = ("question", "options", "gold", "rationale")

RecipeAt = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*(@[1-9]\d{0,17})?$", max_length=84)]
Made = Iterator[Example | PutAside]


class Speaker(NamedTuple):
    """Who is asked.

    Attributes:
        model: a base model or a teacher; empty where a recipe is asked.
        recipe: the recipe whose model is asked, of the same base model, pool and seed; or `HERE`.
        size: the size at which the recipe is taken, None for that of the step that reads the set.
    """

    model: str = ""
    recipe: str = ""
    size: int | None = None


class Read(Protocol):
    """The examples of a pool, a set or a held-out part, read again each time that they are gone through."""

    def __iter__(self) -> Iterator[Scored]: ...

    def ids(self) -> list[str]:
        """Return their ids, reading nothing else."""


class AnyStep(Strict):
    """A way to make a set of examples from pools and other sets."""

    VERSION: ClassVar[int]
    """Raised when a change of code changes what the step makes."""
    DRAWS: ClassVar[bool] = False
    """Whether it draws lots, so that the set depends on the study's seed."""
    JUDGES: ClassVar[bool] = False
    """Whether it reads the judge's word on what a model said."""

    kind: str
    """Names the kind."""

    @property
    @abstractmethod
    def INPUTS(self) -> tuple[str, ...]:  # noqa: N802 (a constant, but for what the study says)
        """The pools, sets and held-out parts that are read."""

    @property
    def speaker(self) -> Speaker | None:
        """Who is asked, None where nobody is."""
        return None

    @property
    def writes(self) -> bool:
        """Whether the rationales of the set are what the asked model said."""
        return False

    @property
    def files(self) -> list[str]:
        """The user's files that it reads."""
        return []

    @property
    def fills(self) -> tuple[str, ...]:
        """The columns that it fills, for steps after it."""
        return ()

    @property
    def wants(self) -> tuple[str, ...]:
        """The columns that it reads, which a step before it has to have filled."""
        return ()

    def most(self, read: int | None) -> int | None:
        """Return the examples that it asks and keeps at most, given those that it reads; None where nothing tells."""
        return read

    def longest(self, read: int | None) -> int | None:
        """Return the tokens of a rationale at most, given those of what it reads; None for no limit."""
        return read

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what the set depends on beside what is read and what was said."""

    @abstractmethod
    def make(self, inputs: Mapping[str, Read], seed: int) -> Made:
        """Yield the examples of the set, and what is left out as put aside.

        Args:
            inputs: the examples of what `INPUTS` names, with what was said to them where a model was asked.
            seed: the study's, for what is drawn.
        """


class Spoken(AnyStep):
    """A step that needs a model: a base model or a teacher, or one that a recipe makes."""

    on: Name
    """The pool, the set, or the benchmark of a pool's held-out rows, whose examples the model gets."""
    model: Name | None = None
    """The base model or the teacher. Its set is made once, for all cells."""
    recipe: RecipeAt | None = None
    """Or the recipe whose model it is, at the model, pool, seed and size of the cell that reads the set, or at a size
    of its own, as in `sft@2000`; `here` is the model that the reading step starts from."""

    @model_validator(mode="after")
    def _has_one_speaker(self) -> Spoken:
        if (self.model is None) == (self.recipe is None):
            raise ValueError("give exactly one of `model` (a base model or a teacher) and `recipe`")
        if self.recipe is not None and self.recipe.startswith(f"{HERE}@"):
            raise ValueError(f"recipe: {self.recipe!r}: the model that a step starts from has no size of its own")
        return self

    @property
    def INPUTS(self) -> tuple[str, ...]:  # noqa: N802
        return (self.on,)

    @property
    def speaker(self) -> Speaker:
        if self.model is not None:
            return Speaker(model=self.model)
        found = re.fullmatch(r"([^@]+)(?:@(\d+))?", self.recipe or "")
        assert found is not None
        return Speaker(recipe=found[1], size=int(found[2]) if found[2] else None)


class Asks(Spoken, Sampling):
    """A step that asks a model every example of what it reads."""

    questions: Positive | None = None
    """Ask only so many examples, the first of a shuffle; all by default."""
    prompt: ExistingFile | None = None
    """A text file to ask in place of the study's prompt. `{{question}}`, `{{options}}`, `{{gold}}`, `{{rationale}}` and
    the columns that an `ask` has filled stand for the example's own."""
    images: bool = True
    """Whether the model is shown the pictures; without them `prompt` has to say what is in them."""
    think: bool = False
    """Force responses to start with `<think>`."""

    @model_validator(mode="after")
    def _draws(self) -> Asks:
        # Says what does not fit.
        assert self.decoding
        return self

    @property
    def files(self) -> list[str]:
        return [] if self.prompt is None else [self.prompt]

    def most(self, read: int | None) -> int | None:
        return min(filter(None, (self.questions, read)), default=None)

    @property
    def count(self) -> int:
        """Responses to each example."""
        return 1

    @cached_property
    def decoding(self) -> Decoding:
        """How responses are drawn."""
        if self.temperature == 0 and self.count > 1:
            raise ValueError(
                f"samples is {self.count} at temperature 0: greedy samples are all the same; set temperature"
            )
        return Decoding(n=self.count, **{name: getattr(self, name) for name in Sampling.model_fields})

    @cached_property
    def places(self) -> tuple[str, ...]:
        """What the prompt file wants of an example, in the order in which it stands there."""
        return tuple(dict.fromkeys(_PLACE.findall(self._template))) if self.prompt else ()

    @property
    def wants(self) -> tuple[str, ...]:
        return tuple(name for name in self.places if name not in _FIELDS)

    @cached_property
    def _template(self) -> str:
        assert self.prompt is not None
        return Path(self.prompt).read_text(encoding="utf-8").strip()

    def asked(self) -> dict[str, Any]:
        """Return what the responses depend on, beside the decoding."""
        told: dict[str, Any] = {"questions": self.questions, "images": None if self.images else False}
        told["prompt"] = hashlib.sha256(self._template.encode()).hexdigest() if self.prompt else None
        told["think"] = self.think or None
        return {key: value for key, value in told.items() if value is not None}

    def question(self, example: Example) -> Example:
        """Return an example as it is asked. Raises RowError where the prompt file wants what it has not."""
        images = example.images if self.images else ()
        if self.prompt is None:
            return example if self.images else _shown(example, images, example.question, example.options)
        options = "\n".join(f"({letter(i)}) {text}" for i, text in enumerate(example.options))
        known = {"question": example.question, "options": options, "gold": example.gold}
        known["rationale"] = example.rationales[0] if example.rationales else ""

        def fill(place: re.Match[str]) -> str:
            value = known[place[1]] if place[1] in known else example.column(place[1])
            if value is None or (place[1] == "rationale" and not value):
                raise RowError(f"no {place[1]!r}, which the prompt file wants")
            return str(value)

        return _shown(example, images, _PLACE.sub(fill, self._template), ())


def _shown(example: Example, images: tuple[bytes, ...], question: str, options: tuple[str, ...]) -> Example:
    """Return an example that asks something else, with nothing of the answer in it."""
    return Example(example.id, images, question, options, example.gold, example.kind, (), example.source, "", 0)


def left_out(example: Example, reason: str, column: str = "") -> PutAside:
    """Return an example as left out of a set."""
    return PutAside(example.id, example.source, reason, column)
