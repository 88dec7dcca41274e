"""Results that somebody else has made, on the benchmarks of a study."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reassess.spec import ExistingFile, Name, Strict


class Imported(Strict):
    """Responses that another harness has drawn and written down; they are judged like the study's own."""

    files: Annotated[dict[Name, ExistingFile], Field(min_length=1)]
    """One file per benchmark of the study: a `samples_*.jsonl` of lm-eval or lmms-eval, or predictions of VLMEvalKit
    (`.xlsx`, `.tsv`)."""
    by: str = ""
    """Whose results these are, as the table says it: a harness with its version, a paper, a colleague."""
