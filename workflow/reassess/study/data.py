"""Pools and benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from reassess.sources import Source
from reassess.spec import Strict


class Pool(Strict):
    """Training examples from one or more sources. SFT and RL draw from the same pool."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Where the examples come from."""
    max_put_aside: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Largest share of rows that may be unusable (broken image, empty gold) before the job fails."""

    @property
    def files(self) -> list[str]:
        """The user's files that the examples are read from."""
        return [file for source in self.sources for file in source.files]

    @property
    def size(self) -> int | None:
        """The number of examples, None where only reading tells."""
        sizes = [source.size for source in self.sources]
        return None if None in sizes else sum(size for size in sizes if size is not None)


Rule = Literal[
    "ai2d",
    "chartqa",
    "dynamath",
    "gpqa",
    "gsm8k",
    "hallusionbench",
    "logicvista",
    "logicvista_vlmevalkit",
    "math_500",
    "mathverse",
    "mathvision",
    "mathvista",
    "mmlu",
    "mmlu_pro",
    "mmmu",
    "mmmu_pro",
    "mmstar",
    "we_math",
]


class JudgeModel(Strict):
    """A large model's answers to an official rule's own prompt, asked outside of the workflow and kept on file."""

    name: Annotated[str, Field(min_length=1)]
    """The model with its version, as the records name it."""
    answers: str
    """JSON lines with `key` and `answer`; `reassess audit --requests` writes the keys."""

    @field_validator("answers")
    @classmethod
    def _exists(cls, path: str) -> str:
        if not Path(path).is_file():
            raise ValueError(f"no such file: {path!r}")
        return path


class Benchmark(Pool):
    """Evaluation examples."""

    modality: Literal["visual", "text"] = "visual"
    """`text` benchmarks have no images; the transfer table compares the two groups."""
    rule: Rule | None = None
    """The benchmark's own scoring rule, reported beside the judge's verdict; it decides nothing."""
    judge_model: JudgeModel | None = None
    """The large model that the rule leaves some responses to; without one they stay undecided."""

    @model_validator(mode="after")
    def _model_needs_rule(self) -> Benchmark:
        if self.judge_model is not None and self.rule is None:
            raise ValueError("judge_model needs `rule`: without one nothing is left to a model")
        return self
