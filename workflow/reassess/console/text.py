"""Text that is aligned for a terminal."""

from __future__ import annotations


def aligned(rows: list[list[str]]) -> list[str]:
    """Return rows of text as lines, the columns under each other."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
