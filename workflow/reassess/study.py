"""The typed study: one YAML file, validated before anything runs.

Every model here is frozen and refuses unknown keys. Nothing heavy is imported, so that the Snakefile can
parse a study in well under a second.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from reassess.consistency import problems_of
from reassess.resources import TOYS, Kind, defaults, fits_one_gpu, size_of
from reassess.trainer_args import check_args

# Names become directories and Snakemake wildcards, and "@" and "/" are the grammar of a lineage.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Positive = Annotated[int, Field(ge=1)]
RewardName = Literal["accuracy", "format"]
Distributed = Literal["ddp", "zero2", "zero3"]
Family = Literal["sum", "bars", "tallest", "locate"]
FAMILIES: tuple[Family, ...] = ("sum", "bars", "tallest", "locate")


class Strict(BaseModel):
    """Base of every part of a study: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Resources(Strict):
    """What one job asks of the machine. Changing any of it reruns nothing."""

    gpu: Annotated[int, Field(ge=0)] | None = None
    """GPUs of the job over all its nodes; by default by the size of the model. Training runs one process on each."""
    threads: Positive | None = None
    """CPU threads of the job. By default 4 for each GPU; 1 for a model below 5e7 weights."""
    mem_mb: Positive | None = None
    """Memory in MB; by default by the size of the model. After a job ran out of it, a retry asks for twice as much."""
    runtime: Positive | None = None
    """Time limit in minutes. By default by the size of the model, a day at most."""
    processes: Positive | None = None
    """Training processes over all nodes. By default one per GPU; on a CPU one, and more of them talk over gloo."""
    nodes: Positive | None = None
    """Nodes of a training job, under Slurm; by default one for every 8 GPUs. `gpu` and `processes` are of all nodes,
    `threads` and `mem_mb` of each."""


class Resolved(Resources):
    """What one job asks of the machine, with the defaults filled in."""

    gpu: int
    nodes: int
    threads: int
    mem_mb: int
    runtime: int

    @property
    def training_processes(self) -> int:
        """Processes that train."""
        return self.processes or max(1, self.gpu)


class ToyModel(Strict):
    """An Idefics3 built from its config class and pretrained here; needs no download."""

    size: Literal["xs", "s"]
    """`xs` has about 0.5M parameters, `s` about 1M."""
    steps: Positive = 600
    """Pretraining steps of 32 sequences."""
    seed: int = 0
    """Seed of weights, scenes and batches."""


class Model(Strict):
    """A base model: a toy built here, a Hugging Face directory, or a hub id with a pinned revision."""

    toy: ToyModel | None = None
    """Build and pretrain a toy model. Exclusive with `path`."""
    path: str | None = None
    """A local Hugging Face checkpoint directory, or a hub id such as `Qwen/Qwen2.5-VL-3B-Instruct`."""
    revision: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")] | None = None
    """The 40-digit commit of a hub model. Required for a hub id, so that a rerun gets the same weights."""
    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint. Off unless you have read that code."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the saved checkpoint and of evaluation. Training keeps float32 weights, for an update of 1e-6 would
    vanish in bfloat16, and computes in this precision on a GPU."""
    distributed: Distributed | None = None
    """How training processes share a model: `ddp` copies all of it to each, DeepSpeed's `zero2` shards gradients and
    optimizer states, `zero3` the weights too. By default `ddp` where all of it fits a GPU of 80 GB, else `zero3`."""
    other_processes: Literal["refuse", "restart"] = "refuse"
    """What a run does that finds checkpoints of another number of processes or of another `distributed`, which cannot
    be continued exactly: stop with an error, or start over from its parent's weights."""
    max_prompt_length: Positive = 2048
    """Longest prompt in tokens, image tokens included. A longer row is put aside, for every method alike."""
    min_pixels: Positive | None = None
    """Smallest image area in pixels; a smaller image is enlarged. The same in SFT, RL and evaluation."""
    max_pixels: Positive | None = None
    """Largest image area in pixels; a larger image is reduced. The same in SFT, RL and evaluation."""
    parameters: Positive | None = None
    """Number of weights, for the resources that are left out. By default that of the toy, of the local safetensors, or
    what a hub id such as `Qwen/Qwen2.5-VL-3B-Instruct` says; needed where none of these tells it."""
    resources: dict[Kind, Resources] = {}
    """Resources by kind of job. What is left out follows from the number of weights: a CPU for a model below 5e7, GPUs
    of 80 GB for a larger one."""

    def distribution(self, kind: Kind) -> Distributed:
        """Return how the processes of a training stage share this model."""
        return self.distributed or ("ddp" if fits_one_gpu(self.size, kind) else "zero3")

    def resources_for(self, kind: Kind) -> Resolved:
        """Return what one kind of job on this model asks of the machine."""
        return _resolve(self.resources.get(kind, Resources()), self.size, kind, self.dtype)

    @functools.cached_property
    def size(self) -> int:
        """The number of weights, as well as it can be told before anything runs. Raises ValueError where it cannot."""
        if self.toy is not None:
            return self.parameters or TOYS[self.toy.size]
        return self.parameters or size_of(str(self.path))

    @property
    def files(self) -> list[str]:
        """The files of a local checkpoint."""
        if self.path is None or not Path(self.path).is_dir():
            return []
        return [str(file) for file in sorted(Path(self.path).iterdir()) if file.is_file()]

    @model_validator(mode="after")
    def _one_origin(self) -> Model:
        if (self.toy is None) == (self.path is None):
            raise ValueError("give exactly one of `toy` (built here) and `path` (a directory or a hub id)")
        if self.path is not None and not Path(self.path).is_dir():
            if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", self.path):
                raise ValueError(
                    f"`path` {self.path!r} is neither an existing directory nor a hub id of the form owner/name"
                )
            if self.revision is None:
                raise ValueError(f"hub model {self.path!r} needs `revision`: the 40-digit commit to pin")
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels {self.min_pixels} is larger than max_pixels {self.max_pixels}")
        return self

    @model_validator(mode="after")
    def _size_is_known(self) -> Model:
        _ = self.size
        return self

    @model_validator(mode="after")
    def _processes_fit(self) -> Model:
        for kind, given in self.resources.items():
            if kind not in ("sft", "grpo") and (given.processes or (given.nodes or 1) > 1):
                raise ValueError(f"resources.{kind}: `processes` and `nodes` are for training (sft, grpo)")
            found = self.resources_for(kind)
            if found.processes and found.gpu not in (0, found.processes):
                raise ValueError(
                    f"resources.{kind}.processes: {found.processes} for {found.gpu} GPUs; training runs one process on "
                    "each GPU, so leave `processes` out"
                )
            if found.training_processes % found.nodes:
                raise ValueError(
                    f"resources.{kind}: {found.training_processes} processes cannot be spread evenly over "
                    f"{found.nodes} nodes; give another number of `gpu` or `nodes`"
                )
        return self


@functools.lru_cache(maxsize=1024)
def _resolve(given: Resources, parameters: int, kind: Kind, dtype: Literal["float32", "bfloat16"]) -> Resolved:
    filled = defaults(parameters, kind, dtype, given.gpu, given.processes, given.nodes)._asdict()
    return Resolved(**{**filled, **given.model_dump(exclude_none=True)})


class ToySource(Strict):
    """Visual questions drawn here: perception, then a short chain of reasoning."""

    kind: Literal["toy"]
    """Drawn here."""
    n: Positive
    """Examples to draw, spread evenly over families and difficulty levels."""
    families: tuple[Family, ...] = FAMILIES
    """Task families."""
    split: Literal["train", "test"] = "train"
    """`train` and `test` never share a scene or a handwritten digit."""
    ood: bool = False
    """Pairs of colours and digits held out of training, and scenes with more objects or moves."""
    text_only: bool = False
    """The text twins: the same questions with a description in place of the image."""
    seed: int = 0
    """Seed of the drawing."""


class ParquetSource(Strict):
    """Examples of your own, in Parquet files with the columns of an example record."""

    kind: Literal["parquet"]
    """Read from files."""
    path: str
    """A Parquet file or a directory of them."""
    licence: str
    """Licence of the data, recorded in the manifest."""

    @field_validator("path")
    @classmethod
    def _exists(cls, path: str) -> str:
        if not Path(path).exists():
            raise ValueError(f"no such file or directory: {path!r}")
        return path


Source = Annotated[ToySource | ParquetSource, Field(discriminator="kind")]


class Pool(Strict):
    """Training examples from one or more sources. SFT and RL draw from the same pool."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Where the examples come from."""
    max_put_aside: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Largest share of rows that may be unusable (broken image, empty gold) before the job fails."""

    @property
    def files(self) -> list[str]:
        """The user's files that the examples are read from."""
        named = [Path(source.path) for source in self.sources if isinstance(source, ParquetSource)]
        found = [sorted(path.rglob("*.parquet")) if path.is_dir() else [path] for path in named]
        return [str(file) for files in found for file in files]


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


class Decoding(Strict):
    """How responses are drawn, under vLLM's names for sampling parameters."""

    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: the smallest set of tokens with this probability."""
    max_tokens: Positive = 2048
    """Longest response in tokens; a longer one counts as truncated."""
    n: Positive = 1
    """Samples per prompt."""

    @model_validator(mode="after")
    def _greedy_is_single(self) -> Decoding:
        if self.temperature == 0 and self.n > 1:
            raise ValueError(f"n is {self.n} at temperature 0: greedy samples are all the same, use n: 1")
        return self


class Suite(Strict):
    """Benchmarks that one engine start answers."""

    benchmarks: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names of benchmarks."""
    decoding: Decoding = Decoding()
    """How responses are drawn."""
    checkpoints: Literal["final", "trajectory"] = "final"
    """`final`: every finished model. `trajectory`: the intermediate checkpoints of stages that keep them."""
    sizes: tuple[Positive, ...] | None = None
    """With `checkpoints: trajectory`, the sizes whose runs are evaluated; all by default."""


class Evaluation(Strict):
    """The generation engine."""

    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """`auto` takes vLLM where it imports and can run, else transformers."""
    batch_size: Positive = 64
    """Prompts per batch of the transformers engine."""
    engine_args: dict[str, Any] = {}
    """Passed to `vllm.LLM` under its own names."""


class Prompt(Strict):
    """The one prompt that SFT, RL and evaluation share."""

    system: str | None = None
    """System message; none by default."""
    instruction: str = (
        "Think about the question first, inside <think> </think>. Then give the final answer inside <answer> </answer>."
    )
    """Put after the question and its options."""
    format: Literal["think_answer", "think_boxed"] = "think_answer"
    """The shape of a response: what SFT targets have and what the format reward asks."""


class SftStage(Strict):
    """Supervised fine-tuning on the reference rationale and answer, through `trl.SFTTrainer`."""

    trainer: Literal["sft"]
    """Supervised fine-tuning."""
    batch_size: Positive
    """Sequences per optimizer step, over all devices and accumulation steps."""
    args: dict[str, Any] = {}
    """Options of `trl.SFTConfig` under their own names."""
    trajectory: Annotated[int, Field(ge=0)] = 0
    """Intermediate checkpoints to keep, evenly spaced, the last step included."""

    @model_validator(mode="after")
    def _args(self) -> SftStage:
        object.__setattr__(self, "args", check_args("sft", self.args, self.batch_size))
        return self


class GrpoStage(Strict):
    """Group relative policy optimisation (arXiv 2402.03300) through `trl.GRPOTrainer`."""

    trainer: Literal["grpo"]
    """Group relative policy optimisation."""
    batch_size: Positive
    """Completions per optimizer step, over all devices and accumulation steps."""
    rewards: Annotated[dict[RewardName, float], Field(min_length=1)]
    """Weights of the rewards: `accuracy` is the judge's verdict, `format` the response's shape."""
    args: dict[str, Any] = {}
    """Options of `trl.GRPOConfig` under their own names."""
    trajectory: Annotated[int, Field(ge=0)] = 0
    """Intermediate checkpoints to keep, evenly spaced, the last step included."""

    @model_validator(mode="after")
    def _args(self) -> GrpoStage:
        if sum(self.rewards.values()) <= 0 or any(weight < 0 for weight in self.rewards.values()):
            raise ValueError(f"rewards {self.rewards}: weights must not be negative and their sum must be above 0")
        object.__setattr__(self, "args", check_args("grpo", self.args, self.batch_size))
        return self


Stage = Annotated[SftStage | GrpoStage, Field(discriminator="trainer")]


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
    sizes: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """Training examples. A smaller subset is a prefix of a larger one."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    """Seeds of subsets and training."""
    stages: dict[Name, Stage]
    """Training stages by name: a trainer and its options."""
    recipes: Annotated[dict[Name, tuple[Name, ...]], Field(min_length=1)]
    """Lists of stages. An empty list is the base model."""
    benchmarks: Annotated[dict[Name, Benchmark], Field(min_length=1)]
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

    @property
    def uses_gpu(self) -> bool:
        """Whether any job asks for a GPU."""
        return any(model.resources_for(kind).gpu for model in self.models.values() for kind in get_args(Kind))

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        problems = list(problems_of(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self
