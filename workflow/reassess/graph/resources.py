"""What a job asks of the machine where the study does not say, worked out from the size of its model.

Also what a further attempt asks for after one that ran out of memory or time. The Snakefile reads this: nothing heavy
is imported.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from reassess import paths
from reassess.graph.job import Job
from reassess.stages import KINDS
from reassess.stages.base import AnyStage, Needs
from reassess.study.models import Distributed, Model, Resources
from reassess.study.study import Study
from reassess.work import attempts

# Memory (MB) of a CPU process; up to so many weights, 16 bytes for each of them and the libraries fit into it.
CPU_MB = 4000
SMALL = 50_000_000
# The usual GPU of a cluster (A100, H100: 80 GB), and the share of it that is planned for: activations, logits and the
# CUDA context take the rest.
GPU_BYTES = 80e9
PLANNED = 0.8
# Bytes per weight of the KV cache: 32 sequences of 4096 tokens in Qwen2.5-VL-7B (28 layers, 4 KV heads of 128, so 57 kB
# per token in bfloat16) take 7.5 GB beside 8.3e9 weights.
CACHE_BYTES = 1
# GPUs of a node (DGX and HGX A100 and H100). A job with more would wait for ever on one node.
NODE_GPUS = 8
# CPU threads and host memory (MB) of each process with a GPU: image decoding, torch and the CUDA libraries.
THREADS_PER_GPU = 4
HOST_MB_PER_GPU = 16_000
# Minutes per 1e9 weights: 2 bytes of each at 20 MB/s for a base model; for evaluation the forward pass alone, a third
# of what SFT takes (`reassess.stages.sft`).
MODEL_MINUTES, GENERATE_MINUTES = 2, 20
# Minutes; a day is the limit of many a queue, and a run that is stopped there goes on in its next attempt.
LONGEST = 24 * 60
# Weights of the toys under the default prompt, whose words decide the size of the vocabulary.
TOYS = {
    "idefics3": {"xs": 519_968, "s": 1_047_360},
    "qwen2_5_vl": {"xs": 539_232, "s": 1_149_184},
}
# Names of checkpoints count the language model: Qwen2.5-VL-3B has 3.75e9 weights, -7B 8.29e9 and -72B 73.4e9 with the
# vision encoder. So much is added to what a name says, at most.
VISION_SHARE = 0.25
VISION_MOST = 1_500_000_000
# Bytes; the format's own limit (HeaderTooLarge in the safetensors library).
LONGEST_HEADER = 100_000_000
# A further attempt gets at most this many times the memory or the time of the first.
MOST = 4.0


class Asked(NamedTuple):
    """What one job asks for.

    Attributes:
        gpu: GPUs over all nodes.
        nodes: nodes of a training job.
        threads: CPU threads on each node.
        mem_mb: host memory in MB on each node.
        runtime: time limit in minutes.
        processes: training processes that the study gives it, None where they follow from the GPUs.
    """

    gpu: int = 0
    nodes: int = 1
    threads: int = 1
    mem_mb: int = CPU_MB
    runtime: int = 240
    processes: int | None = None

    @property
    def training_processes(self) -> int:
        """Processes that train."""
        return self.processes or max(1, self.gpu)

    @property
    def mpi(self) -> str | None:
        """How Snakemake's executor is told that the command starts its tasks by itself, where nodes are several."""
        return "srun" if self.nodes > 1 else None


def asked(model: Model, kind: str, stage: AnyStage | None = None) -> Asked:
    """Return what a kind of job on a model asks for: what the study gives it, the rest by the model's size.

    Args:
        model: the model.
        kind: `model`, `generate`, or a kind of stage.
        stage: the stage that runs; without it, one of its kind with every option at its default.
    """
    needs = None if stage is None else stage.needs
    return _asked(model.resources.get(kind, Resources()), weights(model), kind, model.dtype, needs)


@functools.lru_cache(maxsize=1024)
def _asked(
    given: Resources, parameters: int, kind: str, dtype: Literal["float32", "bfloat16"], needs: Needs | None
) -> Asked:
    found = defaults(parameters, kind, dtype, given.gpu, given.processes, given.nodes, needs)
    return found._replace(**given.model_dump(exclude_none=True))


def weights(model: Model) -> int:
    """Return the number of weights, as well as it can be told before anything runs.

    Raises:
        ValueError: it cannot be told.
    """
    if model.toy is not None:
        return model.parameters or TOYS[model.toy.family][model.toy.size]
    return model.parameters or size_of(str(model.path))


def distribution(model: Model, stage: AnyStage) -> Distributed:
    """Return how the processes of a stage share a model."""
    return model.distributed or ("ddp" if fits_one_gpu(weights(model), stage.needs) else "zero3")


def defaults(
    parameters: int,
    kind: str,
    dtype: Literal["float32", "bfloat16"] = "bfloat16",
    gpu: int | None = None,
    processes: int | None = None,
    nodes: int | None = None,
    needs: Needs | None = None,
) -> Asked:
    """Return what a job asks for by the size of its model.

    Args:
        parameters: weights of the model.
        kind: kind of job.
        dtype: precision of evaluation.
        gpu: GPUs that the study gives it; threads and memory follow them.
        processes: training processes that the study gives it.
        nodes: nodes that the study gives it; threads and memory are those of one.
        needs: what its stage takes, where that is not what its kind takes.
    """
    needs = needs or _needs(kind, 2 if dtype == "bfloat16" else 4)
    if parameters < SMALL:
        nodes = nodes or _nodes(kind, gpu or 0)
        processes = math.ceil((processes or 1) / nodes)
        return Asked(gpu or 0, nodes, processes, CPU_MB * processes)
    runtime = min(LONGEST, 240 + math.ceil(needs.minutes_per_billion * parameters / 1e9))
    if kind == "model":
        # Files are fetched or copied, and read once for their fingerprint.
        return Asked(gpu=gpu or 0, mem_mb=2 * CPU_MB, runtime=runtime)
    if gpu is None:
        gpu = _gpus(parameters * needs.bytes_per_weight)
        # An engine runs on one node.
        gpu = min(gpu, NODE_GPUS) if kind == "generate" else gpu
    nodes = nodes or _nodes(kind, gpu)
    processes = math.ceil((processes or max(1, gpu)) / nodes)
    per_weight = needs.host_bytes_per_weight / nodes + needs.host_bytes_per_process * processes
    mem_mb = math.ceil(parameters * per_weight / 1e9) * 1000 + HOST_MB_PER_GPU * processes
    return Asked(gpu, nodes, THREADS_PER_GPU * processes, mem_mb, runtime)


def _needs(kind: str, width: int) -> Needs:
    """Return what a kind of job needs, given the bytes of a weight."""
    if kind == "model":
        return Needs(0, MODEL_MINUTES, 0)
    # An engine keeps a copy of the files as it loads.
    return Needs(width + CACHE_BYTES, GENERATE_MINUTES, 2 * width) if kind == "generate" else KINDS[kind].NEEDS


def fits_one_gpu(parameters: int, needs: Needs) -> bool:
    """Return whether one process can hold a whole model in a stage: weights, gradients and optimizer states."""
    return parameters * needs.bytes_per_weight <= GPU_BYTES * PLANNED


def _gpus(size: float) -> int:
    """Return the GPUs that so many bytes take, a power of two: attention heads and nodes divide by it."""
    return 0 if size == 0 else 1 << max(0, math.ceil(math.log2(size / (GPU_BYTES * PLANNED))))


def _nodes(kind: str, gpu: int) -> int:
    """Return the nodes that so many GPUs are on; what does not train stays on one."""
    return max(1, math.ceil(gpu / NODE_GPUS)) if kind in KINDS else 1


def size_of(path: str) -> int:
    """Return the weights of a local directory or a hub id. Raises ValueError where they cannot be told."""
    is_local = Path(path).is_dir()
    found = size_of_directory(path) if is_local else size_in_name(path)
    if found is None:
        unread = "the directory has no readable *.safetensors (not fetched, or cut off?)"
        why = unread if is_local else "its name does not say"
        raise ValueError(f"`path` {path!r}: give `parameters`, the number of weights, because {why}")
    return found


def size_in_name(hub_id: str) -> int | None:
    """Return the weights that a hub id such as `Qwen/Qwen2.5-VL-7B-Instruct` names, None where it names none.

    Of a mixture of experts all weights count (`30B-A3B`); `8x7B` says too little.
    """
    found = re.findall(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)([BbMm])(?![A-Za-z0-9])", hub_id.rpartition("/")[2])
    if not found:
        return None
    said = max(float(number) * (1e9 if unit in "Bb" else 1e6) for number, unit in found)
    return round(said + min(VISION_SHARE * said, VISION_MOST))


def size_of_directory(directory: str | Path) -> int | None:
    """Return the weights of a local checkpoint from the headers of its safetensors, None where they cannot be read.

    Only the files that transformers would load count: some checkpoints come in two forms.
    """
    root = Path(directory)
    index = root / "model.safetensors.index.json"
    try:
        if (root / "model.safetensors").is_file():
            files = [root / "model.safetensors"]
        elif index.is_file():
            shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            files = [root / name for name in sorted(set(shards))]
        else:
            files = sorted(root.glob("*.safetensors"))
        return sum(map(_weights, files)) or None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, struct.error):
        # Cut off, a pointer in place of a large file, or made by hand.
        return None


def _weights(file: Path) -> int:
    """Return the numbers in a safetensors file: 8 bytes say how long the JSON header is, which has every shape."""
    with file.open("rb") as handle:
        (length,) = struct.unpack("<Q", handle.read(8))
        if length > LONGEST_HEADER:
            raise ValueError(f"{file}: not safetensors")
        header = json.loads(handle.read(length))
    return sum(math.prod(item["shape"]) for name, item in header.items() if name != "__metadata__")


def asked_by(study: Study, job: Job) -> Asked:
    """Return what the first attempt at a job on a model asks for."""
    assert job.at.model is not None
    if job.at.model in study.endpoints:
        return Asked(runtime=LONGEST)
    if job.rule != "train":
        # A measure runs in the engine that answers.
        return asked(study.speakers[job.at.model], "generate" if job.rule == "measure" else job.rule)
    stage = study.all_stages[job.at.stage]
    return asked(study.speakers[job.at.model], stage.kind, stage)


def of(study: Study, job: Job, attempt: int = 1) -> Asked:
    """Return what a job on a model asks for, given how its earlier attempts ended.

    Args:
        study: the study.
        job: the job.
        attempt: Snakemake's number of this attempt; what is known is asked again for each.
    """
    base = asked_by(study, job)
    # As text: a dry run asks this of thousands of jobs that were never attempted.
    file = f"{paths.attempts(job.rule, job.key)}.jsonl"
    try:
        known = os.stat(file)  # noqa: PTH116
    except FileNotFoundError:
        return base
    ended = _ended(job.rule, job.key, attempt, os.path.abspath(file), known.st_mtime_ns, known.st_size)  # noqa: PTH100
    mem_mb, runtime = for_attempt(base, ended)
    return base._replace(mem_mb=mem_mb, runtime=runtime)


def for_attempt(base: Asked, earlier: Sequence[attempts.Attempt]) -> tuple[int, int]:
    """Return memory (MB) and time limit (minutes) of the next attempt.

    Memory doubles with each attempt that ran out of it since a job finished. Time grows by half with each that reached
    its limit without a step done; one that saved a step goes on from there and needs no more. Both to `MOST` times.

    Args:
        base: what the study gives.
        earlier: earlier attempts, oldest first, each with its `why`.
    """
    memory = time = 1.0
    for i, this in enumerate(earlier):
        if this.why == "finished":
            memory = time = 1.0
        elif this.why == "out_of_memory":
            memory = min(MOST, 2 * memory)
        elif this.why == "time_limit":
            resumed = earlier[i + 1].start_step if i + 1 < len(earlier) else 0
            if max(this.end_step or 0, resumed) <= this.start_step:
                time = min(MOST, 1.5 * time)
    return round(base.mem_mb * memory), round(base.runtime * time)


@functools.lru_cache(maxsize=4096)
def _ended(rule: str, key: str, attempt: int, *state: str | int) -> tuple[attempts.Attempt, ...]:
    """Return the attempts with their ends; kept, because Slurm is asked and a rule has several resources."""
    found = attempts.read(rule, key)
    return tuple(item._replace(why=attempts.why(rule, key, item)) for item in found)
