"""The training sets that are known by name, a module each (see `reassess.sources.published`)."""

from __future__ import annotations

# By path, so that a study that names one set imports one module.
SETS: dict[str, str] = {
    "geometry3k": "reassess.sources.sets.geometry3k",
    "geoqa": "reassess.sources.sets.geoqa",
    "gsm8k": "reassess.sources.sets.gsm8k",
    "llava-cot": "reassess.sources.sets.llava_cot",
    "math": "reassess.sources.sets.math",
    "mm-math": "reassess.sources.sets.mm_math",
    "mmk12": "reassess.sources.sets.mmk12",
    "multimodal-open-r1": "reassess.sources.sets.multimodal_open_r1",
    "openr1-math": "reassess.sources.sets.openr1_math",
    "openr1-math-46k": "reassess.sources.sets.openr1_math_46k",
    "openthoughts": "reassess.sources.sets.openthoughts",
    "r1-onevision": "reassess.sources.sets.r1_onevision",
    "virl39k": "reassess.sources.sets.virl39k",
    "vlaa-thinking-grpo": "reassess.sources.sets.vlaa_thinking_grpo",
    "vlaa-thinking-sft": "reassess.sources.sets.vlaa_thinking_sft",
}

# What was asked for and is not here: why, and where to look.
BLANK: dict[str, str] = {
    "Eureka-Distill": (
        "34,000 rows for training and 700 to validate (JierunChen/Eureka-Distill). No public text that was read names "
        "its columns, so nothing says which of them is the gold. Look at the viewer of the data set on the hub, and "
        "name its columns in a source `{kind: parquet, path: ..., columns: ...}`."
    ),
}
