"""The example record that pools, benchmarks, training and evaluation share."""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = ("math", "numeric", "mcq", "text")


class DataError(ValueError):
    """Data that cannot be used: the message names the file or the row and what was expected."""


class RowError(Exception):
    """One row cannot be used, which is put aside: the other rows are not touched by it.

    Attributes:
        reason: why, as in `PutAside`.
        column: the column that it is about.
    """

    def __init__(self, reason: str, column: str = "") -> None:
        super().__init__(f"column {column!r}: {reason}" if column else reason)
        self.reason = reason
        self.column = column


class PutAside(NamedTuple):
    """A row that is not used, and why.

    Attributes:
        id: the row's id, or where it stands.
        source: where it comes from.
        reason: why; the same words for every row of which the same is wrong, so that they can be counted.
        column: the column, or the field of the example, that it is about; empty where it is about none.
    """

    id: str
    source: str
    reason: str
    column: str = ""


@dataclass(frozen=True)
class Example:
    """One question.

    Attributes:
        id: unique within a pool or benchmark.
        images: encoded images (PNG, JPEG, ...), none for a text-only question.
        question: the question alone; options and instruction are added by `prompts.messages`. Where it or an option
            has `<image>`, an image stands in its place, in their order; without any the images stand before the text.
        options: texts of the options of a multiple-choice question, else empty.
        gold: the right answer; for `mcq` a letter.
        kind: how the judge compares: one of `KINDS`.
        rationales: reference chains of reasoning, none or more; SFT imitates the first.
        source: where the example comes from.
        family: task family or category within the source.
        difficulty: number of reasoning steps, or the source's own level; 0 where unknown.
        metadata: a JSON object of the benchmark's own columns that its official rule reads, or empty.
        answers: what each rationale ends in, where that is not the gold; else empty.
        columns: a JSON object of what was found out about it when a set of examples was made (a caption, a pass rate, a
            perplexity), or empty.
    """

    id: str
    images: tuple[bytes, ...]
    question: str
    options: tuple[str, ...]
    gold: str
    kind: str
    rationales: tuple[str, ...]
    source: str
    family: str
    difficulty: int
    metadata: str = ""
    answers: tuple[str, ...] = ()
    columns: str = ""

    def column(self, name: str) -> Any:
        """Return what was found out about it under a name, None where nothing was."""
        return json.loads(self.columns).get(name) if self.columns else None

    def with_columns(self, **found: str | float | None) -> Example:
        """Return it with more that was found out about it."""
        known = json.loads(self.columns) if self.columns else {}
        return replace(self, columns=json.dumps({**known, **found}, sort_keys=True, ensure_ascii=False))

    def pil(self) -> list[Image]:
        """Return the decoded images in RGB. Raises OSError where one cannot be decoded."""
        return [decode(image) for image in self.images]

    def content_sha256(self) -> str:
        """Return the hash of what a model sees: pixels, question and options. Equal hashes are one question."""
        parts = [images_sha256(self.pil()), self.question, *self.options]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


class Said(NamedTuple):
    """What a model said to an example, and the judge's word on it.

    Attributes:
        text: the response, with what its prompt already held of it.
        finish_reason: as in `engines.base.Response`.
        n_tokens: generated tokens.
        correct: whether it is right; None where it was not judged, or could not be.
    """

    text: str
    finish_reason: str
    n_tokens: int
    correct: bool | None = None


class Scored(NamedTuple):
    """An example with what a model makes of it.

    Attributes:
        example: the example.
        said: what the model said to it, in the order of its samples; nothing where none was asked.
        found: the values of a measure of it, by name; None where there are none.
    """

    example: Example
    said: tuple[Said, ...] = ()
    found: Mapping[str, float] | None = None


def images_sha256(pictures: Sequence[Image]) -> str:
    """Return the hash of decoded pictures: the sizes and RGB values of each; empty where there is none."""
    hashes = [
        hashlib.sha256(f"{picture.width}x{picture.height}:".encode() + picture.tobytes()).hexdigest()
        for picture in pictures
    ]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest() if hashes else ""


def record_sha256(item: Example) -> str:
    """Return the hash of everything that training or scoring reads of an example."""
    parts = [item.content_sha256(), item.gold, item.kind, item.family, str(item.difficulty), *item.rationales]
    parts += [item.metadata] if item.metadata else []
    parts += [*item.answers, item.columns] if item.answers or item.columns else []
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


# A row is checked, counted and hashed one after the other.
@functools.lru_cache(maxsize=2)
def decode(data: bytes) -> Image:
    """Return an encoded image in RGB, as a person sees it. Raises OSError where it cannot be decoded.

    It is not to be changed. The first frame of an animation, turned upright as its EXIF orientation says, transparent
    parts on white, and more than 8 bits a channel scaled to 8. vLLM turns a picture by the same tag, so that without
    this training and evaluation would see different pixels.
    """
    from PIL import Image as PilImage

    try:
        with PilImage.open(io.BytesIO(data)) as picture:
            upright = _upright(picture)
            if upright.mode.startswith(("I", "F")):
                upright = _in_8_bits(upright)
            if upright.has_transparency_data:
                drawing = upright.convert("RGBA")
                upright = PilImage.new("RGBA", drawing.size, "white")
                upright.alpha_composite(drawing)
            seen = upright.convert("RGB")
    except (OSError, MemoryError):
        raise
    # Decoders raise what they like of a broken file: of AVIF a RuntimeError.
    except Exception as error:
        raise OSError(str(error)) from None
    # Among it the orientation, by which it would be turned again.
    seen.info = {}
    return seen


def _upright(picture: Image) -> Image:
    """Return a picture turned as its EXIF says; where that cannot be read, as it is stored.

    `ImageOps.exif_transpose` writes the other tags again, and fails where a camera gave one of them a wrong type.
    """
    from PIL import ExifTags
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    # TIFF turns itself when it is loaded, and PNG may have its EXIF at the end.
    picture.load()
    try:
        turn = turns.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    # It stands beside the pixels, and is nobody's to check.
    except Exception:
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _in_8_bits(picture: Image) -> Image:
    """Return a grey picture of whole or real numbers in 8 bits; Pillow's own conversion cuts off what is above 255.

    White is 65535 for whole numbers, which PNG and TIFF store in 16 bits. For real numbers it is the first of 1, 255
    and 65535 that none of them exceeds.
    """
    import numpy as np
    from PIL import Image as PilImage

    values = np.nan_to_num(np.asarray(picture, dtype=np.float64), posinf=np.inf, neginf=-np.inf)
    whites = (1, 255, 65535) if picture.mode == "F" else (65535,)
    highest = values.max(initial=0, where=np.isfinite(values))
    white = next((white for white in whites if highest <= white), whites[-1])
    if (transparent := picture.info.get("transparency")) is not None:
        values[values == transparent] = white
    return PilImage.fromarray((np.clip(values / white, 0, 1) * 255).round().astype(np.uint8))
