"""A table before it is Markdown or LaTeX, and its Markdown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from reassess.analyse.statistics import Estimate

DASH = "—"
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Entry:
    """One entry of a table.

    Attributes:
        text: the number or words.
        rest: what follows the number and is never bold: an interval.
        bold: whether `text` is bold.
        mark: number of a footnote, 0 for none.
    """

    text: str
    rest: str = ""
    bold: bool = False
    mark: int = 0


@dataclass(frozen=True)
class Block:
    """Rows that belong together, such as those of one model. The first column is text, the others are numbers."""

    title: str
    rows: list[list[Entry]]


@dataclass
class Table:
    """A table as a paper prints it.

    Attributes:
        name: stem of its files.
        caption: one or two sentences.
        columns: headers.
        blocks: groups of rows.
        notes: lines below the table, after the footnotes.
        footnotes: texts of the footnotes, in the order of their marks.
        text_columns: how many of the first columns are words.
    """

    name: str
    caption: str
    columns: list[str]
    blocks: list[Block] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    footnotes: list[str] = field(default_factory=list)
    text_columns: int = 1

    def mark(self, text: str) -> int:
        """Return the number of the footnote that says `text`, making it where there is none. No text, no mark."""
        if not text:
            return 0
        if text not in self.footnotes:
            self.footnotes.append(text)
        return self.footnotes.index(text) + 1


def percent(value: float) -> str:
    """Return a fraction in percent with one decimal."""
    return _signless(f"{100 * value:.1f}")


def accuracy(estimate: Estimate | None, mark: int = 0, bounds: bool = False) -> Entry:
    """Return an accuracy in percent with ± half its interval's width, or with the interval; a dash for None."""
    if estimate is None:
        return Entry(DASH, mark=mark)
    if bounds:
        return Entry(percent(estimate.mean), f"[{percent(estimate.lo)}, {percent(estimate.hi)}]", mark=mark)
    return Entry(percent(estimate.mean), f"±{percent(estimate.half_width)}", mark=mark)


def difference(estimate: Estimate | None, mark: int = 0, scale: float = 100) -> Entry:
    """Return a difference with its sign and interval; a dash for None.

    Args:
        estimate: the difference.
        mark: number of a footnote.
        scale: what one is in the unit that is printed; 100 for percentage points.
    """
    if estimate is None:
        return Entry(DASH, mark=mark)
    mean, lo, hi = (_signed(scale * value) for value in (estimate.mean, estimate.lo, estimate.hi))
    return Entry(mean, f"[{lo}, {hi}]", mark=mark)


def share(count: int, n: int) -> Entry:
    """Return a count with its share of n."""
    return Entry(str(count), f"({100 * count / n:.1f}%)") if n else Entry(DASH)


def number(value: float | None, digits: int = 0, mark: int = 0) -> Entry:
    """Return a number with thousands separated; a dash for None."""
    return Entry(DASH if value is None else f"{value:,.{digits}f}", mark=mark)


def bold_best(rows: list[list[Entry]], columns: list[int]) -> None:
    """Make the highest printed number of each column bold, every one of several equal ones."""
    for column in columns:
        values = [(float(row[column].text), row) for row in rows if re.fullmatch(r"-?[\d.]+", row[column].text)]
        best = max((value for value, _ in values), default=None)
        for value, row in values:
            if value == best:
                row[column] = replace(row[column], bold=True)


def markdown(table: Table) -> str:
    """Return the table in GitHub's Markdown, one table per block."""
    lines = [f"**{_escape(table.caption)}**", ""]
    for block in table.blocks:
        if block.title:
            lines += [f"### {_escape(block.title)}", ""]
        rows = [[_entry(entry) for entry in row] for row in block.rows]
        header = [_escape(column) for column in table.columns]
        widths = [max(3, *(len(row[i]) for row in [header, *rows])) for i in range(len(header))]
        rule = ["-" * width if i < table.text_columns else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
        for row in (header, rule, *rows):
            padded = [
                text.ljust(width) if i < table.text_columns else text.rjust(width)
                for i, (text, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append(f"| {' | '.join(padded)} |")
        lines.append("")
    for i, text in enumerate(table.footnotes, 1):
        lines.append(f"- {superscript(i)} {_escape(text)}")
    if table.footnotes:
        lines.append("")
    lines += [line for text in table.notes for line in (_escape(text), "")]
    return "\n".join(lines).rstrip() + "\n"


def superscript(mark: int) -> str:
    """Return a footnote's number in superscript digits."""
    return str(mark).translate(_SUPERSCRIPT)


def _entry(entry: Entry) -> str:
    text = f"**{_escape(entry.text)}**" if entry.bold else _escape(entry.text)
    mark = superscript(entry.mark) if entry.mark else ""
    return f"{text}{mark} {_escape(entry.rest)}".rstrip()


def _escape(text: str) -> str:
    # "_" within a word and "[" of an interval mean nothing to Markdown; at the edge of a word and as a link they do.
    return re.sub(r"([\\|*<`~]|(?<!\w)_|_(?!\w)|\](?=[(\[])|&(?=#?\w+;))", r"\\\1", text).replace("\n", " ")


def _signless(text: str) -> str:
    """A negative zero is a zero."""
    return text.lstrip("-") if float(text) == 0 else text


def _signed(value: float) -> str:
    text = f"{value:+,.1f}"
    return text[1:] if text in ("+0.0", "-0.0") else text.replace("-", "−")
