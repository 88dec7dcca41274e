"""The benchmarks that are known by name, a module each: the scoring rule, and what the benchmark's rows say.

Scores and rewards come from `reassess.judge`. The deterministic part of a benchmark's own rule, quirks included, is
reported beside its verdict to compare published numbers, and decides nothing. Nothing is random, and where an official
rule asks a large model the outcome is None unless the answer of such a model is on record.

A module has `METADATA` (the columns that its rule reads), `judge(item)`, and `summary(rows)` where the benchmark has an
aggregate of its own. One that also knows the benchmark's rows has, all together, `SOURCE` (where they are published),
`MODALITY`, `VERSION` (raised when rows become other examples) and `example(row)`: the row as an example, with an empty
id where the rows have none, or put aside. A benchmark whose rows are known here is one whose examples nobody has to
convert.
"""

from __future__ import annotations

import importlib
from types import ModuleType

# By path, so that a study that names one benchmark imports one module.
KNOWN: dict[str, str] = {
    "ai2d": "reassess.benchmarks.ai2d",
    "chartqa": "reassess.benchmarks.chartqa",
    "dynamath": "reassess.benchmarks.dynamath",
    "gpqa": "reassess.benchmarks.gpqa",
    "gsm8k": "reassess.benchmarks.gsm8k",
    "hallusionbench": "reassess.benchmarks.hallusionbench",
    "logicvista": "reassess.benchmarks.logicvista",
    "logicvista_vlmevalkit": "reassess.benchmarks.logicvista_vlmevalkit",
    "math_500": "reassess.benchmarks.math_500",
    "mathverse": "reassess.benchmarks.mathverse",
    "mathvision": "reassess.benchmarks.mathvision",
    "mathvista": "reassess.benchmarks.mathvista",
    "mmlu": "reassess.benchmarks.mmlu",
    "mmlu_pro": "reassess.benchmarks.mmlu_pro",
    "mmmu": "reassess.benchmarks.mmmu",
    "mmmu_pro": "reassess.benchmarks.mmmu_pro",
    "mmstar": "reassess.benchmarks.mmstar",
    "we_math": "reassess.benchmarks.we_math",
}


def module(name: str) -> ModuleType:
    """Return the module of a benchmark in `KNOWN`."""
    return importlib.import_module(KNOWN[name])


def has_rows(name: str) -> bool:
    """Return whether a name is that of a benchmark whose rows are known here."""
    return name in KNOWN and hasattr(module(name), "example")
