"""Several sets in given shares."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from reassess.example import DataError
from reassess.spec import Name, Positive
from reassess.steps.base import AnyStep, Made, Read, left_out

Weight = Annotated[float, Field(gt=0)]


class Mix(AnyStep):
    """Examples of several sets in given shares, each example once.

    Which set an example that stands in several is taken from is drawn by the shares. A set that has too few ends the
    mixture, unless `n` asks for more than that, which is an error.
    """

    VERSION: ClassVar[int] = 1
    DRAWS: ClassVar[bool] = True

    kind: Literal["mix"]
    """A mixture of sets."""
    of: Annotated[dict[Name, Weight], Field(min_length=2)]
    """Sets, or a pool, with their shares, such as `{short: 3, long: 1}`."""
    n: Positive | None = None
    """Examples of the mixture; as many as the shares allow by default."""

    @property
    def INPUTS(self) -> tuple[str, ...]:  # noqa: N802
        return tuple(self.of)

    def most(self, read: int | None) -> int | None:
        return min(filter(None, (self.n, read)), default=None)

    def identity(self) -> dict[str, Any]:
        return {"of": self.of} | ({"n": self.n} if self.n else {})

    def make(self, inputs: Mapping[str, Read], seed: int) -> Made:
        taken = self._drawn({name: inputs[name].ids() for name in self.of}, seed)
        if self.n and len(taken) < self.n:
            raise DataError(
                f"n is {self.n}, and the shares end the mixture after {len(taken)}; lower it, or change `of`"
            )
        for name in self.of:
            for example, *_ in inputs[name]:
                if taken.get(example.id) == name:
                    yield example
                elif example.id not in taken:
                    yield left_out(example, f"not drawn from {name}")

    def _drawn(self, ids: Mapping[str, list[str]], seed: int) -> dict[str, str]:
        """Return from which set each example of the mixture is taken: the one that lacks most of its share draws."""

        def lot(id_: str) -> bytes:
            return hashlib.sha256(f"{seed} {id_}".encode()).digest()

        left = {name: sorted(found, key=lot, reverse=True) for name, found in ids.items()}
        taken: dict[str, str] = {}
        counts = dict.fromkeys(self.of, 0)
        whole = sum(self.of.values())
        while self.n is None or len(taken) < self.n:
            name = max(self.of, key=lambda name: self.of[name] / whole * (len(taken) + 1) - counts[name])
            while left[name] and left[name][-1] in taken:
                left[name].pop()
            if not left[name]:
                break
            taken[left[name].pop()] = name
            counts[name] += 1
        return taken
