"""The typed study: one YAML file, validated before anything runs.

Every model here is frozen and refuses unknown keys. Nothing heavy is imported, so that the Snakefile can parse a study
in well under a second.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from reassess.measures import Measure
from reassess.prompts import Prompt
from reassess.spec import Name, Positive, Strict
from reassess.stages import Stage
from reassess.stages.base import AnyStage, Variant
from reassess.steps import Step
from reassess.study.data import Benchmarks, Pool
from reassess.study.imported import Imported
from reassess.study.models import Model
from reassess.study.recipes import Recipe
from reassess.study.suites import Evaluation, Suite
from reassess.study.teachers import Endpoint, Teacher


class Filter(Strict):
    """Cells by their coordinates, among them what a stage varies. A key that is left out matches every value."""

    # What a stage varies is known to the study alone, which checks it.
    model_config = ConfigDict(extra="allow")

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

    @cached_property
    def varied(self) -> dict[str, list[Any]]:
        """Wanted values of options that a stage varies."""
        extra = self.__pydantic_extra__ or {}
        return {key: [_number(value) for value in values] for key, values in extra.items() if values is not None}


def _number(value: Any) -> Any:
    # YAML 1.1 reads 1e-3, without a dot, as text, and stages take it as a number.
    return float(value) if isinstance(value, str) and re.fullmatch(r"[-+]?[\d.]*\d\.?[eE][-+]?\d+", value) else value


class Contrast(Strict):
    """Two cells, as `{recipe: sft, size: 2000}`, that are compared on every model that has both."""

    a: Filter
    """The one: its recipe, and its size where there are several; `model` and `pool` too, where not all are meant."""
    b: Filter
    """The other; its accuracy is taken from that of `a`."""


class Report(Strict):
    """How results are summarised."""

    in_distribution: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Benchmarks that are like what is trained on, which the table `sources` sets against the others; by default the
    held-out parts of pools."""
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
    teachers: dict[Name, Teacher] = {}
    """Models that only speak, for sets of `examples`: they are neither trained nor evaluated. One with `endpoint` is
    asked over the network."""
    pools: Annotated[dict[Name, Pool], Field(min_length=1)]
    """Pools of training examples by name; SFT and RL of a cell draw from the same one."""
    examples: dict[Name, Step] = {}
    """Sets of examples that are made from a pool or from another set, also by asking a model, by name."""
    sizes: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """Training examples. A smaller subset is a prefix of a larger one."""
    # What NumPy takes.
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1)]
    """Seeds of subsets and training."""
    stages: dict[Name, Stage]
    """Training stages by name: a kind and its options."""
    recipes: Annotated[dict[Name, Recipe], Field(min_length=1)]
    """Lists of stages, or what they start from too. An empty list is the base model. Their order is that of rows."""
    other_data: tuple[Name, ...] = ()
    """Recipes that train on a set which is not in `only_with` of its pool, and so on other questions than the rest.
    Tables mark them; any other such recipe is refused."""
    benchmarks: Annotated[Benchmarks, Field(min_length=1)]
    """Benchmarks by name."""
    suites: Annotated[dict[Name, Suite], Field(min_length=1)]
    """Lists of benchmarks with their decoding, by name. One engine start answers a suite."""
    measures: dict[Name, Measure] = {}
    """What finished models are asked beside answers, by name, such as how likely they find given responses."""
    imported: dict[Name, Imported] = {}
    """Other people's results by name, judged by the study's judge and put into a table of their own."""
    prompt: Prompt = Prompt()
    """The prompt that training and evaluation share."""
    evaluation: Evaluation = Evaluation()
    """The engine that generates responses."""
    exclude: tuple[Filter, ...] = ()
    """Cells taken out of the product of the axes."""
    only: tuple[Filter, ...] = ()
    """Where given, cells that match none of these are taken out."""
    contrasts: dict[Name, Contrast] = {}
    """What the study asks, by name: pairs of cells, of which a table has the difference on each model and on average.
    `base` and `base-think` are recipes here, too."""
    report: Report = Report()
    """How results are summarised."""

    @cached_property
    def speakers(self) -> dict[str, Model]:
        """Base models, and teachers that are checkpoints."""
        return {**self.models, **{name: item for name, item in self.teachers.items() if isinstance(item, Model)}}

    @cached_property
    def endpoints(self) -> dict[str, Endpoint]:
        """Teachers behind an endpoint."""
        return {name: item for name, item in self.teachers.items() if isinstance(item, Endpoint)}

    @cached_property
    def all_stages(self) -> dict[str, AnyStage]:
        """Every stage that can run, by name: one with `vary` is there as its variants, such as `sft.e1`."""
        return {name: stage for named in self.stages for name, stage in self.runnable(named).items()}

    def runnable(self, name: str) -> dict[str, AnyStage]:
        """Return the variants of a stage by name, such as `sft.e1`; the stage itself where it has none."""
        stage = self.stages[name]
        return {f"{name}.{variant}": found.stage for variant, found in stage.variants.items()} or {name: stage}

    @property
    def used(self) -> dict[str, dict[str, AnyStage]]:
        """The stages that recipes name, each with its variants or with itself."""
        names = dict.fromkeys(step.by for recipe in self.recipes.values() for step in recipe.steps)
        return {name: self.runnable(name) for name in names}

    @property
    def choosing(self) -> dict[str, str]:
        """The suites by which stages of recipes choose, each with such a stage: what they say stands in no table."""
        found = ((stage.chooses_by, name) for name, variants in self.used.items() for stage in variants.values())
        return {suite: name for suite, name in found if suite is not None}

    @property
    def circular(self) -> set[str]:
        """The benchmarks whose questions are asked in rotations."""
        return {name for name, spec in self.benchmarks.items() if spec.circular}

    @property
    def watching(self) -> dict[str, Suite]:
        """The suites that report on kept checkpoints."""
        choosing = self.choosing
        return {
            name: suite
            for name, suite in self.suites.items()
            if suite.checkpoints == "trajectory" and name not in choosing
        }

    def reads(self, rule: str, name: str) -> list[tuple[str, str]]:
        """Return the pools and benchmarks, as rule and name, that a pool or a benchmark is made from."""
        if rule == "pool":
            how = self.pools[name].decontaminate
            return [("benchmark", item) for item in dict.fromkeys(how.against if how else ())]
        pool = self.benchmarks[name].pool
        return [] if pool is None else [("pool", pool)]

    def makers(self, name: str) -> list[str]:
        """Return the rules that make a pool, set of examples or benchmark of this name: one where it is known."""
        made = {"pool": [*self.pools], "examples": [*self.examples], "benchmark": [*self.benchmarks]}
        return [rule for rule, names in made.items() if name in names]

    def is_fixed(self, name: str) -> bool:
        """Whether a set of examples is made once for all cells: no recipe is asked for it, or for what it reads."""
        step = self.examples[name]
        who = step.speaker
        return (who is None or bool(who.model)) and all(
            self.is_fixed(read) for read in step.INPUTS if read in self.examples
        )

    def sets_of(self, recipe: str) -> dict[str, str]:
        """Return the sets that the steps of a recipe train on, and those of recipes before it, by the stage's name."""
        spec = self.recipes[recipe]
        found: dict[str, str] = {}
        for start in spec.start:
            found |= self.sets_of(start.recipe) if start.recipe in self.recipes else {}
        for step in spec.steps:
            for stage in self.runnable(step.by).values():
                if on := step.on or stage.reads:
                    found[on] = step.by
        return found

    def matched_by(self, recipe: str) -> list[str]:
        """Return the recipes whose cost decides how long steps of a recipe train."""
        stages = [stage for step in self.recipes[recipe].steps for stage in self.runnable(step.by).values()]
        return list(dict.fromkeys(stage.matches for stage in stages if stage.matches))

    def own_size(self, recipe: str) -> int | None:
        """Return the training examples of a recipe whose steps all have a size of their own, None where one follows the
        cell's."""
        spec = self.recipes[recipe]
        before = [start.size or self.own_size(start.recipe) for start in spec.start if self.has_steps(start.recipe)]
        given = [step for step in spec.steps if self.stages[step.by].READS_EXAMPLES]
        read = [max(self.sizes) if step.all else step.size for step in given]
        sizes = [size for size in (*before, *read) if size is not None]
        if len(sizes) < len(before) + len(read) or not sizes:
            return None
        return sizes[-1] if read else max(sizes)

    def has_steps(self, recipe: str) -> bool:
        """Whether a recipe makes a model. A study need not name the base model among its recipes to start from it."""
        return recipe in self.recipes and bool(self.recipes[recipe].steps)

    def variants(self, recipe: str) -> dict[str, dict[str, Variant]]:
        """Return the variants of each varied stage that a recipe, or one that it starts from, goes through."""
        found: dict[str, dict[str, Variant]] = {}
        for start in self.recipes[recipe].start:
            found |= self.variants(start.recipe) if start.recipe in self.recipes else {}
        for step in self.recipes[recipe].steps:
            if variants := self.stages[step.by].variants:
                found.setdefault(step.by, dict(variants))
        return found
