"""Example rows over pictures of every kind that data sets have: odd modes, shapes, orientations and files."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from reassess.example import Example
from reassess.sources.rows import SCHEMA, row

from .table import FAMILIES

ORIENTATION = 0x0112
# The camera was held upright: the picture lies until it is turned by 90 degrees.
TURNED = 6


@cache
def pictures() -> dict[str, bytes]:
    """Return encoded pictures by what is odd about them."""
    return {
        "jpeg": _encoded(_drawn(640, 480), "JPEG", quality=85),
        "alpha": _encoded(_with_alpha(_drawn(320, 240)), "PNG"),
        "grey": _encoded(_drawn(300, 200).convert("L"), "JPEG"),
        "cmyk": _encoded(_drawn(320, 240).convert("CMYK"), "JPEG"),
        "palette": _encoded(_drawn(256, 256).convert("P"), "PNG"),
        "exif": _encoded(_drawn(400, 300), "JPEG", exif=_exif()),
        "tiny": _encoded(_drawn(20, 20), "PNG"),
        "wide": _encoded(_drawn(2000, 40), "PNG"),
        "tall": _encoded(_drawn(50, 700), "JPEG"),
        "grey16": _encoded(_sixteen_bits(240, 180), "PNG"),
        "animated": _encoded(
            _drawn(160, 120, seed=1), "GIF", save_all=True, append_images=[_drawn(160, 120, seed=2)], duration=100
        ),
    }


def write(folder: str | Path, examples: Iterable[Example]) -> None:
    """Write examples as a user's Parquet file in a directory."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(map(row, examples)), schema=SCHEMA), Path(folder) / "rows.parquet")


def visual(prefix: str, n: int, kinds: tuple[str, ...] = ()) -> list[Example]:
    """Return `n` questions about sums, one picture each in the order of `kinds` (all); every other one has options."""
    chosen = kinds or tuple(pictures())
    return [_row(prefix, i, chosen[i % len(chosen)]) for i in range(n)]


def text(prefix: str, n: int) -> list[Example]:
    """Return `n` questions about sums without a picture; every other one has options."""
    return [_row(prefix, i, None) for i in range(n)]


def several(prefix: str) -> list[Example]:
    """Return questions with two pictures and with three, each in its place in the text."""
    two, three = (_row(prefix, i, "grey") for i in range(2))
    shown = pictures()
    return [
        replace(
            two,
            id=f"{prefix}-two",
            images=(shown["exif"], shown["tiny"]),
            question=f"<image> or <image>: {two.question}",
        ),
        replace(
            three,
            id=f"{prefix}-three",
            images=(shown["grey"], shown["wide"], shown["alpha"]),
            question=f"<image>{three.question} <image><image>",
        ),
    ]


def rows_of_all_kinds(family: str) -> list[Example]:
    """Return questions with every odd picture, with several and with none, as far as a family takes them."""
    if FAMILIES[family].modality == "text":
        return text("m", 16)
    # TRL's GRPO and vLLM do not take several pictures of LLaVA-OneVision (docs/models.md).
    more = visual("n", 2) if family == "llava-onevision" else several("m")
    return [
        *text("m", 3),
        *visual("m", len(pictures())),
        # Not every template leaves pictures where they stand in the text.
        *(replace(item, question=item.question.replace("<image>", "it ")) for item in more),
    ]


def _row(prefix: str, i: int, kind: str | None) -> Example:
    rng = random.Random(f"{prefix} {i}")
    first, second = rng.randrange(2, 30), rng.randrange(2, 30)
    total = first + second
    options = tuple(str(total + more) for more in (1, 0, 2, 5)) if i % 2 else ()
    return Example(
        id=f"{prefix}-{i}" if kind is None else f"{prefix}-{i}-{kind}",
        images=() if kind is None else (pictures()[kind],),
        question=f"AB is {first} long and BC is {second} (∠ABC = π, 中文).\nHow long is AC?",
        options=options,
        gold="B" if options else str(total),
        kind="mcq" if options else "numeric",
        rationales=(f"AC is AB and BC, so {first} + {second} = {total}.",),
        source="odd pictures",
        family=kind or "text",
        difficulty=1,
    )


def _drawn(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return a picture whose halves differ, so that a turned or mirrored one is another."""
    rng = np.random.default_rng(seed)
    cells = (rng.random((max(1, height // 16), max(1, width // 16), 3)) * 255).astype("uint8")
    picture = Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    draw.rectangle([0, 0, width // 2, height // 2], outline=(255, 0, 0), fill=(255, 255, 0))
    draw.text((2, 2), "3 + 4", fill=(0, 0, 0))
    return picture


def _with_alpha(picture: Image.Image) -> Image.Image:
    """Return a picture of which the right half is transparent."""
    alpha = Image.new("L", picture.size, 255)
    alpha.paste(0, (picture.width // 2, 0, picture.width, picture.height))
    picture = picture.convert("RGBA")
    picture.putalpha(alpha)
    return picture


def _sixteen_bits(width: int, height: int) -> Image.Image:
    """Return a grey picture whose values go beyond 255."""
    ramp = np.linspace(0, 65535, width * height).reshape(height, width)
    return Image.fromarray(ramp.astype("uint16"))


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED
    return exif


def _encoded(picture: Image.Image, format_: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format_, **options)
    return buffer.getvalue()
