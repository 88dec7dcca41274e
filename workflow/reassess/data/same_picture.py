"""Pictures that stand in benchmarks too, found by how they look: encoded again, resized, or cropped a little.

A picture is told by its perceptual hash of 256 bits. Those of a benchmark are hashed in many crops too, so that a
cropped copy is found. What the distances below find and what they take for the same is measured by
`perf/decontamination.py` (figures in `docs/decontamination.md`).
"""

from __future__ import annotations

import math
from array import array
from hashlib import blake2b
from typing import TYPE_CHECKING

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL.Image import Resampling

from reassess.example import decode

if TYPE_CHECKING:
    from PIL.Image import Image

# Bits in a row of a hash. With 8, the usual number, different line drawings are as near as copies are.
BITS = 16
# At most so many of the 256 bits of a copy differ.
DISTANCE = 40
# Crops leave away so much at either end of a side, and the largest both together. Half a step shifts a hash by less
# than the distance.
STEP, LARGEST = 0.0375, 0.15
# At most so much do the proportions of a copy differ, as a logarithm: pictures that are 10 pixels high are rounded so.
PROPORTIONS = 0.08
# Grey levels of 256 by which the pixels of a picture deviate from their mean at least: the hash of a blank picture is
# noise.
DEVIATION = 4.0
# Of a reduced picture, of which crops are hashed: a step of theirs is six pixels.
_SIDE = 160
# Hashes that are compared at once: they and their distances stay in a processor's cache.
_CHUNK = 2**16


class Pictures:
    """The pictures of benchmarks, by their hashes: 10 kB of memory for each.

    First `add` those of the benchmarks, then look others up with `like`.
    """

    def __init__(self) -> None:
        self.blank = 0
        self._added: set[tuple[str, bytes]] = set()
        self._hashes: list[NDArray[np.uint64]] = []
        self._proportions: list[NDArray[np.float32]] = []
        self._rows = array("L")
        self._index: tuple[NDArray[np.uint64], NDArray[np.float32], NDArray[np.int64]] | None = None

    def add(self, row: int, benchmark: str, image: bytes) -> None:
        """Add a picture of a benchmark; of equal files of one benchmark the first stands for all.

        Args:
            row: the number of the row that it is of, by which it is named when it is found.
            benchmark: its benchmark.
            image: the picture, encoded.

        Raises:
            OSError: it cannot be decoded.
        """
        key = benchmark, blake2b(image, digest_size=16).digest()
        if key in self._added:
            return
        self._added.add(key)
        picture = decode(image)
        grey = reduced(picture)
        if is_blank(grey):
            self.blank += 1
            return
        self.take(row, math.log(picture.width / picture.height), np.vstack([of(picture)[None], of_crops(grey)]))

    def take(self, row: int, proportions: float, hashes: NDArray[np.uint64]) -> None:
        """Add the hashes of a picture, the whole one's first, and then those of its crops."""
        self._hashes.append(hashes)
        self._proportions.append((_CROPPED + proportions).astype(np.float32))
        self._rows.extend([row] * len(hashes))

    def like(self, image: bytes) -> dict[int, int] | None:
        """Return the rows of benchmarks that a picture is one of, with the distance; None for a blank picture.

        Raises:
            OSError: it cannot be decoded.
        """
        picture = decode(image)
        if is_blank(reduced(picture)):
            return None
        wanted, shape = of(picture), math.log(picture.width / picture.height)
        hashes, proportions, rows = self._indexed()
        ends = np.array((shape - PROPORTIONS, shape + PROPORTIONS), dtype=np.float32)
        first, last = proportions.searchsorted(ends)
        found: dict[int, int] = {}
        for start in range(first, last, _CHUNK):
            part = slice(start, min(start + _CHUNK, last))
            distances = np.zeros(part.stop - part.start, dtype=np.uint16)
            for word, column in zip(wanted, hashes[:, part], strict=True):
                distances += np.bitwise_count(column ^ word)
            for place in np.flatnonzero(distances <= DISTANCE):
                row, distance = int(rows[start + place]), int(distances[place])
                found[row] = min(distance, found.get(row, distance))
        return found

    def _indexed(self) -> tuple[NDArray[np.uint64], NDArray[np.float32], NDArray[np.int64]]:
        """Return hashes, proportions and rows in the order of proportions."""
        if self._index is None:
            proportions = np.concatenate([np.zeros(0, dtype=np.float32), *self._proportions])
            order = proportions.argsort(kind="stable")
            hashes = np.concatenate([np.zeros((0, 4), dtype=np.uint64), *self._hashes])[order].T
            rows = np.array(self._rows, dtype=np.int64)[order]
            self._index = np.ascontiguousarray(hashes), proportions[order], rows
            self._hashes, self._proportions = [], []
        return self._index


def of(picture: Image) -> NDArray[np.uint64]:
    """Return the perceptual hash of a picture, as four words of 64 bits."""
    return _packed(imagehash.phash(picture, hash_size=BITS).hash.reshape(1, -1)).reshape(-1)


def of_crops(grey: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return the hashes of the crops of a reduced picture, a row each.

    They are those that `imagehash.phash` gives, but for a bit here and there. It takes half a millisecond for each of
    224, and this one two for all.
    """
    spectra = (_WAVES @ grey @ _WAVES.T).reshape(len(_ENDS), BITS, len(_ENDS), BITS)
    spectra = spectra.transpose(2, 0, 1, 3).reshape(-1, BITS * BITS)[1:]
    return _packed(spectra > np.median(spectra, axis=1, keepdims=True))


def is_blank(grey: NDArray[np.float64]) -> bool:
    """Whether a reduced picture is one colour, or nearly."""
    return float(grey.std()) < DEVIATION


def reduced(picture: Image) -> NDArray[np.float64]:
    """Return a picture as a small square of grey levels, 0 to 255."""
    small = picture.convert("L").resize((_SIDE, _SIDE), Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(small, dtype=np.float64)


def _packed(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    return np.packbits(bits, axis=1).view(np.uint64)


def _ends() -> list[tuple[float, float]]:
    """Return what crops leave of a side, as shares of it: the whole side comes first."""
    steps = round(LARGEST / STEP)
    return [(a * STEP, 1 - b * STEP) for a in range(steps + 1) for b in range(steps + 1 - a)]


def _waves(start: float, end: float) -> NDArray[np.float64]:
    """Return the cosine waves (of the DCT-II) along a part of a side: one in a row, zero outside of the part."""
    at = ((np.arange(_SIDE) + 0.5) / _SIDE - start) / (end - start)
    return np.cos(np.pi * np.arange(BITS)[:, None] * at) * ((at >= 0) & (at < 1))


_ENDS = _ends()
_WAVES = np.concatenate([_waves(start, end) for start, end in _ENDS])
# What a crop adds to the logarithm of width by height; the first is the whole picture.
_CROPPED = np.array(
    [
        math.log((right - left) / (lower - upper))
        for left, right in _ENDS
        for upper, lower in _ENDS
    ]
)  # fmt: skip
