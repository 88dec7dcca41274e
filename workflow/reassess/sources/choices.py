"""Takes the options of a multiple-choice question off its end, where data sets write them into the question itself."""

from __future__ import annotations

import re
import string

# How options are labelled, and what stands between them: each at the beginning of a line ("A:40°", "(B) red", "C. 7"),
# one after the other with brackets ("(A) True (B)False"), or behind a heading and commas ("Options: A: red, B: blue").
_FORMS = (
    re.compile(r"^[ \t]*(?:\(([A-Z])\)|([A-Z])[:.)])[ \t]*", re.MULTILINE),
    re.compile(r"(?<![^\s,;.:?!])\(([A-Z])\)[ \t]*"),
    re.compile(r"(?:(?<=Options:)|(?<=Choices:)|,)[ \t\n]*([A-Z]):[ \t]"),
)
_IN_LINE = _FORMS[1]
_ENDED = re.compile(r"[.?!:;)_]$|\bselect from [A-Z, and]+$", re.IGNORECASE)
_HEADING = re.compile(r"\s*\b(?:options?|choices?|select from)\s*:?\s*$", re.IGNORECASE)


def split(question: str) -> tuple[str, tuple[str, ...]]:
    """Return a question without the options at its end, and these; the question as it is and none where this is unsure.

    It is sure where the labels are A, B, C and so on, in this order and each once, where no option is empty or goes
    over several lines, and where something precedes them. Letters in brackets may also be names in a sentence ("the
    area of (A) and that of (B)"): there a sentence or a heading has to end before them, and none that asks may follow.
    """
    for form in _FORMS:
        labels = list(form.finditer(question))
        letters = "".join(next(filter(None, label.groups())) for label in labels)
        if len(letters) < 2 or not string.ascii_uppercase.startswith(letters):
            continue
        ends = [label.start() for label in labels[1:]] + [len(question)]
        options = tuple(question[label.end() : end].strip() for label, end in zip(labels, ends, strict=True))
        if all(option[-1:] in (",", ";") for option in options[:-1]):
            options = tuple(option.rstrip(",; ") for option in options)
        before = question[: labels[0].start()].rstrip()
        stem = _HEADING.sub("", before).rstrip()
        if form is _IN_LINE and (options[-1].endswith("?") or (stem == before and not _ENDED.search(stem))):
            continue
        if stem and all(option and "\n" not in option for option in options):
            return stem, options
    return question, ()
