"""Results that somebody else has made, on the benchmarks of a study."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from reassess.spec import ExistingFile, Name, Strict

_ONE_OR_MORE = {"anyOf": [{"type": "string"}, {"items": {"type": "string"}, "minItems": 1, "type": "array"}]}


def _listed(data: Any) -> Any:
    return [data] if isinstance(data, str) else data


Files = Annotated[tuple[ExistingFile, ...], Field(min_length=1), BeforeValidator(_listed), WithJsonSchema(_ONE_OR_MORE)]


class Imported(Strict):
    """Responses that another harness has drawn and written down; they are judged like the study's own."""

    files: Annotated[dict[Name, Files], Field(min_length=1)]
    """By benchmark of the study a file, or a list where a harness has one per part (lm-eval has 14 for MMLU-Pro): a
    `samples_*.jsonl` of lm-eval or lmms-eval, or predictions of VLMEvalKit (`.xlsx`, `.tsv`)."""
    by: str = ""
    """Whose results these are, as the table says it: a harness with its version, a paper, a colleague."""
