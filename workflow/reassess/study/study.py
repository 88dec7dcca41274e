"""The typed study: one YAML file, validated before anything runs.

Every model here is frozen and refuses unknown keys. Nothing heavy is imported, so that the Snakefile can parse a study
in well under a second.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from reassess.prompts import Prompt
from reassess.spec import Name, Positive, Strict
from reassess.stages import Stage
from reassess.steps import Step
from reassess.study.data import Benchmarks, Pool
from reassess.study.models import Model
from reassess.study.suites import Evaluation, Suite


class Filter(Strict):
    """Cells by their coordinates. A key that is left out matches every value."""

    model: tuple[Name, ...] | None = None
    """Models, one or a list."""
    pool: tuple[Name, ...] | None = None
    """Pools, one or a list."""
    size: tuple[int, ...] | None = None
    """Sizes, one or a list."""
    seed: tuple[int, ...] | None = None
    """Seeds, one or a list."""
    recipe: tuple[Name, ...] | None = None
    """Recipes, one or a list."""

    @model_validator(mode="before")
    @classmethod
    def _scalars(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {k: v if v is None or isinstance(v, list | tuple) else [v] for k, v in data.items()}
        return data


class Report(Strict):
    """How results are summarised."""

    resamples: Annotated[int, Field(ge=100)] = 2000
    """Bootstrap resamples behind each 95% interval."""


class Study(Strict):
    """One study: axes, options, and what to report."""

    name: Name
    """Names the study in `results/studies/` and in tables."""
    seed: int = 0
    """Seeds sampling in evaluation and the bootstrap. Training seeds are the axis `seeds`."""
    models: Annotated[dict[Name, Model], Field(min_length=1)]
    """Base models by name."""
    pools: Annotated[dict[Name, Pool], Field(min_length=1)]
    """Pools of training examples by name; SFT and RL of a cell draw from the same one."""
    examples: dict[Name, Step] = {}
    """Sets of examples that are made from a pool or from another set, by name."""
    sizes: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """Training examples. A smaller subset is a prefix of a larger one."""
    # What NumPy takes.
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1)]
    """Seeds of subsets and training."""
    stages: dict[Name, Stage]
    """Training stages by name: a kind and its options."""
    recipes: Annotated[dict[Name, tuple[Name, ...]], Field(min_length=1)]
    """Lists of stages. An empty list is the base model."""
    benchmarks: Annotated[Benchmarks, Field(min_length=1)]
    """Benchmarks by name."""
    suites: Annotated[dict[Name, Suite], Field(min_length=1)]
    """Lists of benchmarks with their decoding, by name. One engine start answers a suite."""
    prompt: Prompt = Prompt()
    """The prompt that training and evaluation share."""
    evaluation: Evaluation = Evaluation()
    """The engine that generates responses."""
    exclude: tuple[Filter, ...] = ()
    """Cells taken out of the product of the axes."""
    only: tuple[Filter, ...] = ()
    """Where given, cells that match none of these are taken out."""
    report: Report = Report()
    """How results are summarised."""
