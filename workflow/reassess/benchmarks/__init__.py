"""The benchmarks that are known by name, a module each: the scoring rule, and what the benchmark's rows say.

Scores and rewards come from `reassess.judge`. The deterministic part of a benchmark's own rule, quirks included, is
reported beside its verdict to compare published numbers, and decides nothing. Nothing is random, and where an official
rule asks a large model the outcome is None unless the answer of such a model is on record.

A module has `METADATA` (the columns that its rule reads), `judge(item)`, and `summary(rows)` where the benchmark has
an aggregate of its own. One that also knows the benchmark's rows has, all together, `SOURCE` (where they are
published), `MODALITY`, `VERSION` (raised when rows become other examples), `CARD` (what a reader should know of it)
and `example(row)`: the row as an example, with an empty id where the rows have none, or put aside. Gold and options
that an example has otherwise than the data set are kept as they were published in its metadata (`item.PUBLISHED`),
where the rule reads them. A benchmark whose rows are known here is one whose examples nobody has to convert.
"""

from __future__ import annotations

import importlib
from types import ModuleType

# By path, so that a study that names one benchmark imports one module.
KNOWN: dict[str, str] = {
    "ai2d": "reassess.benchmarks.ai2d",
    "aime24": "reassess.benchmarks.aime24",
    "aime25": "reassess.benchmarks.aime25",
    "amc23": "reassess.benchmarks.amc23",
    "arc_challenge": "reassess.benchmarks.arc_challenge",
    "chartqa": "reassess.benchmarks.chartqa",
    "docvqa": "reassess.benchmarks.docvqa",
    "dynamath": "reassess.benchmarks.dynamath",
    "emma": "reassess.benchmarks.emma",
    "gpqa": "reassess.benchmarks.gpqa",
    "gsm8k": "reassess.benchmarks.gsm8k",
    "hallusionbench": "reassess.benchmarks.hallusionbench",
    "logicvista": "reassess.benchmarks.logicvista",
    "logicvista_vlmevalkit": "reassess.benchmarks.logicvista_vlmevalkit",
    "math_500": "reassess.benchmarks.math_500",
    "mathverse": "reassess.benchmarks.mathverse",
    "mathvision": "reassess.benchmarks.mathvision",
    "mathvista": "reassess.benchmarks.mathvista",
    "minervamath": "reassess.benchmarks.minervamath",
    "mme": "reassess.benchmarks.mme",
    "mmlu": "reassess.benchmarks.mmlu",
    "mmlu_pro": "reassess.benchmarks.mmlu_pro",
    "mmmu": "reassess.benchmarks.mmmu",
    "mmmu_pro": "reassess.benchmarks.mmmu_pro",
    "mmmu_pro_4": "reassess.benchmarks.mmmu_pro_4",
    "mmmu_pro_vision": "reassess.benchmarks.mmmu_pro_vision",
    "mmstar": "reassess.benchmarks.mmstar",
    "olympiadbench": "reassess.benchmarks.olympiadbench",
    "pope": "reassess.benchmarks.pope",
    "we_math": "reassess.benchmarks.we_math",
}

# Benchmarks that are asked for and not known here: why, and where to look. For `docs/data.md`.
BLANK: dict[str, str] = {
    "amc with five options": "`amc23` is the copy that papers report, reworded to ask for a number. No public data set "
    "with the original options was found with its columns; AI-MO/aimo-validation-amc has numbers as well.",
    "refcoco": "Its answers are boxes, and the judge has no measure of overlap (IoU). Rows: "
    "lmms-lab-encoder/RefCOCO; rule: lmms-eval, lmms_eval/tasks/refcoco/utils_rec.py.",
}


def module(name: str) -> ModuleType:
    """Return the module of a benchmark in `KNOWN`."""
    return importlib.import_module(KNOWN[name])


def has_rows(name: str) -> bool:
    """Return whether a name is that of a benchmark whose rows are known here."""
    return name in KNOWN and hasattr(module(name), "example")
