"""Toy questions: perception of a small picture, then a short chain of reasoning, with text-only twins.

A picture is a 2 x 2 grid of 16-pixel cells: a1 and a2 above b1 and b2. Four families:

- `sum`: add handwritten digits (the UCI set inside scikit-learn, 1,797 images of 8 x 8 pixels);
- `bars`: difference, or sum and difference, of the heights of coloured bars;
- `tallest`: which of several coloured bars is tallest (multiple choice);
- `locate`: walk from one coloured disc to another.

Scenes are split by a hash of what they show, so that no picture (and no description of one) is in two of pretraining,
pools and benchmarks, whatever is asked about it; the digits of benchmarks are images that no training scene uses.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from reassess.example import DataError, Example
from reassess.prompts import letter

Split = Literal["pretrain", "train", "test"]
SIDE = 32
CELL = 16
ROWS, COLUMNS = "ab", "12"
CELLS = tuple(row + column for row in ROWS for column in COLUMNS)
COLOURS = {
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 119, 250),
    "yellow": (250, 220, 50),
    "purple": (170, 60, 220),
    "white": (245, 245, 245),
}
# Colours and digits that no training scene shows together; every other pair occurs.
HELD_OUT = frozenset(map(frozenset, [("red", "blue"), ("green", "purple"), ("yellow", "white")]))
HELD_OUT_DIGITS = frozenset(map(frozenset, [(1, 4), (2, 8), (3, 6), (0, 7), (5, 9)]))
MOVES = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
MAX_HEIGHT = 5
# Difficulty levels: the number of reasoning steps. Out of distribution are the same levels with pairs that were held
# out, and a third level with more objects or moves.
LEVELS = (1, 2)
OOD_LEVELS = (1, 2, 3)


class Thing(NamedTuple):
    """What one cell shows: a digit (`name` is its value), a bar or a disc (`name` is its colour)."""

    kind: Literal["digit", "bar", "disc"]
    name: str
    height: int = 0

    @property
    def words(self) -> str:
        return f"{self.name} {self.height}" if self.kind == "bar" else self.name


@dataclass(frozen=True)
class Scene:
    """A drawn situation with one question about it."""

    family: str
    level: int
    things: dict[str, Thing]
    question: str
    options: tuple[str, ...]
    gold: str
    kind: str
    rationale: str

    @property
    def caption(self) -> str:
        """What the picture shows, in reading order."""
        return ", ".join(f"{cell} {self.things[cell].words}" for cell in sorted(self.things))

    @property
    def split(self) -> Split:
        """The one split this scene may be used in, from a hash of what it shows."""
        share = int.from_bytes(hashlib.sha256(self.caption.encode()).digest()[:4]) % 100
        return "pretrain" if share < 50 else "train" if share < 75 else "test"


def scene(family: str, level: int, rng: random.Random, ood: bool = False) -> Scene:
    """Return a random scene of a family. `level` is the number of reasoning steps, 1 to 3."""
    return {"sum": _sum, "bars": _bars, "tallest": _tallest, "locate": _locate}[family](level, rng, ood)


def slots(families: tuple[str, ...], ood: bool = False) -> list[tuple[str, int]]:
    """Return the (family, level) pairs that examples are spread over evenly."""
    return [(family, level) for family in families for level in (OOD_LEVELS if ood else LEVELS)]


def scenes(turns: list[tuple[str, int]], split: Split, rng: random.Random, ood: bool = False) -> Iterator[Scene]:
    """Yield random scenes of a split without end, the (family, level) pairs in turn."""
    while True:
        for family, level in turns:
            found = scene(family, level, rng, ood)
            while found.split != split:
                found = scene(family, level, rng, ood)
            yield found


def drill(rng: random.Random) -> tuple[str, str]:
    """Return a text-only exercise of single reasoning steps and its solution: arithmetic, or which is most."""
    if rng.random() < 0.3:
        heights = rng.sample(range(1, MAX_HEIGHT + 1), rng.randint(2, 4))
        seen = ", ".join(f"{letter(i)} {height}" for i, height in enumerate(heights))
        return seen, f"{seen}. {max(heights)} is {letter(heights.index(max(heights)))}."
    facts = []
    for _ in range(4):
        if rng.random() < 0.7:
            a, b = rng.randrange(28), rng.randrange(10)
            facts.append((f"{a} + {b}", a + b))
        else:
            b = rng.randint(1, MAX_HEIGHT)
            a = rng.randint(b, 3 * MAX_HEIGHT)
            facts.append((f"{a} - {b}", a - b))
    return ", ".join(asked for asked, _ in facts), " ".join(f"{asked} = {result}." for asked, result in facts)


def draw(
    n: int, families: tuple[str, ...], split: Split, ood: bool = False, text_only: bool = False, seed: int = 0
) -> Iterator[Example]:
    """Yield `n` distinct examples, the same for the same arguments: see `ToySource`.

    Raises:
        DataError: so many are asked for that no new scenes are found.
    """
    rng = random.Random(f"toy {seed} {split} {ood} {text_only}")
    name = f"toy-{split}{'-ood' if ood else ''}{'-text' if text_only else ''}"
    streams = [scenes([slot], split, rng, ood) for slot in slots(families, ood)]
    seen: set[str] = set()
    for i in range(n):
        for _ in range(1000):
            found = next(streams[i % len(streams)])
            item = example(found, f"{name}-{seed}-{i:06d}", rng, split, text_only)
            content = item.content_sha256()
            if content not in seen:
                break
        else:
            raise DataError(f"toy source: only {i} distinct examples of {n} could be drawn")
        seen.add(content)
        yield item


def example(found: Scene, id_: str, rng: random.Random, split: Split, text_only: bool = False) -> Example:
    """Return a scene as an example: with its picture, or as its text-only twin."""
    question = f"The picture shows {found.caption}. {found.question}" if text_only else found.question
    return Example(
        id=id_,
        images=() if text_only else (png(paint(found, rng, split)),),
        question=question,
        options=found.options,
        gold=found.gold,
        kind=found.kind,
        rationales=(found.rationale,),
        source="toy",
        family=found.family,
        difficulty=found.level,
    )


def paint(found: Scene, rng: random.Random, split: Split) -> Image.Image:
    """Return the scene's picture: 32 x 32 pixels, RGB."""
    picture = Image.new("RGB", (SIDE, SIDE))
    pen = ImageDraw.Draw(picture)
    for cell, thing in found.things.items():
        top, left = (CELL * i for i in _position(cell))
        if thing.kind == "digit":
            picture.paste(rng.choice(_digits(split)[int(thing.name)]), (left, top))
        elif thing.kind == "bar":
            left, foot = left + 4 + rng.randint(-2, 2), top + CELL - 1
            pen.rectangle((left, foot - 3 * thing.height + 1, left + 7, foot), fill=COLOURS[thing.name])
        else:
            left, top = left + 3 + rng.randint(-2, 2), top + 3 + rng.randint(-2, 2)
            pen.ellipse((left, top, left + 10, top + 10), fill=COLOURS[thing.name])
    return picture


def png(picture: Image.Image) -> bytes:
    """Return an image as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


@cache
def _digits(split: Split) -> dict[int, list[Image.Image]]:
    """Return handwritten digits by value; every fourth image is for benchmarks alone."""
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    found: dict[int, list[Image.Image]] = {value: [] for value in range(10)}
    for i, (pixels, value) in enumerate(zip(data.images, data.target, strict=True)):
        if (i % 4 == 3) == (split == "test"):
            grey = Image.fromarray((pixels * (255 / 16)).astype(np.uint8))
            found[int(value)].append(grey.resize((CELL, CELL), Image.Resampling.BILINEAR).convert("RGB"))
    return found


def _position(cell: str) -> tuple[int, int]:
    return ROWS.index(cell[0]), COLUMNS.index(cell[1])


def _colours(k: int, rng: random.Random, ood: bool) -> list[str]:
    """Return k distinct colours; out of distribution with at least one held-out pair, else with none."""
    while True:
        chosen = rng.sample(sorted(COLOURS), k)
        held_out = any(frozenset(pair) in HELD_OUT for pair in combinations(chosen, 2))
        if held_out == ood:
            return chosen


def _sum(level: int, rng: random.Random, ood: bool) -> Scene:
    while True:
        values = [rng.randrange(10) for _ in range(level + 1)]
        if ood == any(frozenset(pair) in HELD_OUT_DIGITS for pair in combinations(values, 2)):
            break
    cells = sorted(rng.sample(CELLS, len(values)))
    steps, total = [], values[0]
    for value in values[1:]:
        steps.append(f"{total} + {value} = {total + value}.")
        total += value
    things = {cell: Thing("digit", str(value)) for cell, value in zip(cells, values, strict=True)}
    seen = ", ".join(f"{cell} {value}" for cell, value in zip(cells, values, strict=True))
    question = "What is the sum of the digits?"
    return Scene("sum", level, things, question, (), str(total), "numeric", f"{seen}. {' '.join(steps)}")


def _bars(level: int, rng: random.Random, ood: bool) -> Scene:
    """Level 1: a - b. Level 2: a + b - c. Level 3: a + b + c - d. The result is never negative."""
    colours = _colours(level + 1, rng, ood)
    while True:
        heights = [rng.randint(1, MAX_HEIGHT) for _ in colours]
        if sum(heights[:-1]) >= heights[-1]:
            break
    steps, total = [], heights[0]
    for height in heights[1:-1]:
        steps.append(f"{total} + {height} = {total + height}.")
        total += height
    steps.append(f"{total} - {heights[-1]} = {total - heights[-1]}.")
    total -= heights[-1]
    seen = ", ".join(f"{colour} {height}" for colour, height in zip(colours, heights, strict=True))
    question = f"Bars: what is {' plus '.join(colours[:-1])} minus {colours[-1]}?"
    things = _bar_things(colours, heights, rng)
    return Scene("bars", level, things, question, (), str(total), "numeric", f"{seen}. {' '.join(steps)}")


def _tallest(level: int, rng: random.Random, ood: bool) -> Scene:
    colours = _colours(level + 1, rng, ood)
    heights = rng.sample(range(1, MAX_HEIGHT + 1), len(colours))
    best = heights.index(max(heights))
    seen = ", ".join(f"{letter(i)} {height}" for i, height in enumerate(heights))
    rationale = f"{seen}. {heights[best]} is {letter(best)}."
    things = _bar_things(colours, heights, rng)
    return Scene("tallest", level, things, "Which bar is tallest?", tuple(colours), letter(best), "mcq", rationale)


def _bar_things(colours: list[str], heights: list[int], rng: random.Random) -> dict[str, Thing]:
    cells = rng.sample(CELLS, len(colours))
    return {cell: Thing("bar", colour, height) for cell, colour, height in zip(cells, colours, heights, strict=True)}


def _locate(level: int, rng: random.Random, ood: bool) -> Scene:
    """Walk `level` moves, never back to a cell, from one disc to another."""
    while True:
        path = [rng.choice(CELLS)]
        moves: list[str] = []
        while len(moves) < level:
            row, column = _position(path[-1])
            ways = {
                move: ROWS[row + down] + COLUMNS[column + right]
                for move, (down, right) in MOVES.items()
                if 0 <= row + down < len(ROWS) and 0 <= column + right < len(COLUMNS)
            }
            ways = {move: cell for move, cell in ways.items() if cell not in path}
            if not ways:
                break
            moves.append(rng.choice(sorted(ways)))
            path.append(ways[moves[-1]])
        if len(moves) == level:
            break
    colours = _colours(max(3, level + 1), rng, ood)
    others = rng.sample([cell for cell in CELLS if cell not in (path[0], path[-1])], len(colours) - 2)
    cells = [path[0], path[-1], *others]
    things = {cell: Thing("disc", colour) for cell, colour in zip(cells, colours, strict=True)}
    walked = " ".join(f"{move} is {cell}." for move, cell in zip(moves, path[1:], strict=True))
    question = f"Start at {colours[0]}, go {' then '.join(moves)}. Which colour is there?"
    rationale = f"{colours[0]} is {path[0]}. {walked} {path[-1]} is {colours[1]}."
    return Scene("locate", level, things, question, (), colours[1], "text", rationale)
