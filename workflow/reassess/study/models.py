"""Base models and what the jobs on them ask of a machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from reassess.spec import ExistingFile, Positive, Strict
from reassess.stages import KINDS

# Options that are written into the files of a base model, so that all that reads it or its descendants has them.
AMENDED = ("chat_template", "template_args", "processor_args", "config")
Distributed = Literal["ddp", "zero2", "zero3"]


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


class ToyModel(Strict):
    """A small model of a real family, built from its config class and pretrained here; needs no download."""

    family: Literal["idefics3", "qwen2_5_vl"] = "idefics3"
    """`qwen2_5_vl` has what Idefics3 has not: pictures of any size, positions in three dimensions (mRoPE), embeddings
    tied to the output head. It needs torchvision."""
    size: Literal["xs", "s"]
    """`xs` has about 0.5M parameters, `s` about 1M."""
    steps: Positive = 600
    """Pretraining steps of 32 sequences."""
    # What torch takes.
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
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
    chat_template: ExistingFile | None = None
    """A file with the chat template (Jinja) to use in place of the checkpoint's own, in training and evaluation."""
    template_args: dict[str, Any] = {}
    """Variables of the chat template, such as `enable_thinking: false`, in training and evaluation."""
    processor_args: dict[str, Any] = {}
    """Options of the checkpoint's image processor under its own names, such as `max_patches`, `do_image_splitting` or
    `size`, which decide how many tokens an image takes where pixel limits do not."""
    config: dict[str, Any] = {}
    """Values of the checkpoint's `config.json` to change, such as `rope_theta` or `max_position_embeddings`."""
    attn_implementation: str | None = None
    """Attention of transformers in training and in its own engine, such as `flash_attention_2`; by default its own
    choice."""
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
    resources: dict[str, Resources] = {}
    """Resources by kind of job: `model`, `generate` (measures too), or a kind of stage (`sft`, ...). What is left out
    follows from the number of weights: a CPU for a model below 5e7, GPUs of 80 GB for a larger one."""

    @property
    def files(self) -> list[str]:
        """The user's files: of a local checkpoint, and the chat template."""
        template = [self.chat_template] if self.chat_template else []
        if self.path is None or not Path(self.path).is_dir():
            return template
        return [str(file) for file in sorted(Path(self.path).iterdir()) if file.is_file()] + template

    @field_validator("resources")
    @classmethod
    def _known_kinds(cls, resources: dict[str, Resources]) -> dict[str, Resources]:
        for kind, given in resources.items():
            if kind not in ("model", "generate", *KINDS):
                raise ValueError(f"{kind!r} is no kind of job; known: model, generate, {', '.join(KINDS)}")
            if kind not in KINDS and (given.processes or (given.nodes or 1) > 1):
                raise ValueError(f"{kind}: `processes` and `nodes` are for training ({', '.join(KINDS)})")
        return resources

    @model_validator(mode="after")
    def _one_origin(self) -> Model:
        if (self.toy is None) == (self.path is None):
            raise ValueError("give exactly one of `toy` (built here) and `path` (a directory or a hub id)")
        if self.toy is not None and (given := [name for name in AMENDED if getattr(self, name)]):
            raise ValueError(f"{given[0]}: for a checkpoint at `path`; a toy is built as it is to be used")
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
