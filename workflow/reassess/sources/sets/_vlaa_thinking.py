"""What the two files of VLAA-Thinking have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reassess.example import Example, RowError
from reassess.sources import fields
from reassess.sources.published import Hub
from reassess.sources.sets import _texts

# The pictures are apart: eight archives `images/*.tar.gz`, and COCO train2017 and Visual Genome at their own addresses.
PICTURES_APART = (
    "The rows hold paths of pictures and the pictures are apart: eight images/*.tar.gz in the repository, and COCO "
    "train2017 and Visual Genome (46,969 of the rows for SFT) at their own addresses. Unpack them below one directory "
    "and name it as `image_root`."
)
_ANSWER_MARK = "†Answer:"


def hub(file: str, rows: int) -> Hub:
    """Return where a file is published."""
    return Hub("UCSC-VLAA/VLAA-Thinking", "train", revision=None, licence="Apache-2.0", files=(file,), rows=rows)


def example(row: Mapping[str, Any], gold: str, rationales: tuple[str, ...], source: str) -> Example:
    """Return a row as an example.

    Raises:
        DataError: a column is missing.
        RowError: a value is not usable.
    """
    question = fields.text(row, "question")
    return replace(
        _texts.asked(question, gold),
        images=fields.images(row, "image"),
        rationales=rationales,
        source=source,
        # The first part of an id such as "geoqa170k-geoqa_plus-2905-63590" is the collection that the row is from.
        family=fields.text(row, "id").partition("-")[0],
    )


def gold(row: Mapping[str, Any]) -> str:
    """Return the right answer: `gt`, or what follows the mark in it where it holds the work as well.

    Raises:
        DataError: there is no such column.
        RowError: it is neither text nor a number.
    """
    if isinstance(fields.value(row, "gt"), list | dict):
        raise RowError("its answer is a place in the picture, which is not compared here", "gt")
    return fields.answer(row, "gt").rpartition(_ANSWER_MARK)[2].strip()
