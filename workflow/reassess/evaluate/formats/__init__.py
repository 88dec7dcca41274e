"""The files in which other harnesses leave responses: one module per harness, each with `rows(path)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from reassess.evaluate.formats import lm_eval, lmms_eval, vlmevalkit
from reassess.evaluate.formats.sample import Said, first_object
from reassess.example import DataError, PutAside


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        name: the harness that writes it.
        rows: yields what a file says, row by row.
    """

    name: str
    rows: Callable[[Path], Iterator[Said | PutAside]]


_LM_EVAL, _LMMS_EVAL = Format("lm-eval", lm_eval.rows), Format("lmms-eval", lmms_eval.rows)
_VLMEVALKIT = Format("VLMEvalKit", vlmevalkit.rows)


def recognise(path: Path) -> Format:
    """Return the format of a file, told from its suffix and, of JSON lines, from the keys of the first one.

    Raises:
        DataError: it is none that is known.
    """
    if path.suffix in vlmevalkit.SUFFIXES:
        return _VLMEVALKIT
    known = "samples_*.jsonl of lm-eval or lmms-eval, or predictions of VLMEvalKit as .xlsx or .tsv"
    if path.suffix != ".jsonl":
        raise DataError(f"{path}: not a file of responses that is known: expected {known}")
    first = first_object(path)
    if "doc_id" not in first or not {"resps", "filtered_resps"} & set(first):
        keys = ", ".join(list(first)[:8])
        raise DataError(
            f"{path}: its first line has not `doc_id` and `resps` (or `filtered_resps`), but {keys or 'no key'}; "
            f"expected {known}"
        )
    # lmms-eval drops it as it writes, and keeps the prompt as `input`.
    return _LM_EVAL if "arguments" in first else _LMMS_EVAL
