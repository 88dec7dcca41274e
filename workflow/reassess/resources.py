"""What a job asks of the machine where the study does not say, worked out from the size of its model.

Also what a further attempt asks for after one that ran out of memory or time. The Snakefile reads this: nothing heavy
is imported.
"""

from __future__ import annotations

import functools
import json
import math
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from reassess import attempts

if TYPE_CHECKING:
    from reassess.study import Resolved, Study

Kind = Literal["model", "sft", "grpo", "generate"]

# Memory (MB) of a CPU process; up to so many weights, 16 bytes for each of them and the libraries fit into it.
CPU_MB = 4000
SMALL = 50_000_000
# The usual GPU of a cluster (A100, H100: 80 GB), and the share of it that is planned for: activations, logits and the
# CUDA context take the rest.
GPU_BYTES = 80e9
PLANNED = 0.8
# Bytes per weight in training: float32 weights (4), gradients (4) and Adam's two moments (8). Mixed precision with
# float32 master weights comes to the same 16 (ZeRO, arXiv 1910.02054, section 3.1).
TRAINING_BYTES = 16
# Bytes per weight of the KV cache: 32 sequences of 4096 tokens in Qwen2.5-VL-7B (28 layers, 4 KV heads of 128, so 57 kB
# per token in bfloat16) take 7.5 GB beside 8.3e9 weights.
CACHE_BYTES = 1
# GRPO samples in the training process: beside the training state, weights cast to bfloat16 and a KV cache.
ROLLOUT_BYTES = 2 + CACHE_BYTES
# GPUs of a node (DGX and HGX A100 and H100). A job with more would wait for ever on one node.
NODE_GPUS = 8
# CPU threads and host memory (MB) of each process with a GPU: image decoding, torch and the CUDA libraries.
THREADS_PER_GPU = 4
HOST_MB_PER_GPU = 16_000
# Training of 6e7 tokens (20,000 examples of 1,000 tokens, three times) costs 6 FLOPs per weight and token (arXiv
# 2001.08361, section 2.1), an hour per 1e9 weights at 1e14 FLOP/s, a third of an A100's peak. GRPO is given twice that
# for its sampling; evaluation has the forward pass alone, a third. A base model is 2 bytes per weight at 20 MB/s.
MINUTES_PER_BILLION = {"model": 2, "sft": 60, "grpo": 120, "generate": 20}
# Minutes; a day is the limit of many a queue, and a run that is stopped there goes on in its next attempt.
LONGEST = 24 * 60
# Weights of the toys under the default prompt, whose words decide the size of the vocabulary.
TOYS = {"xs": 519_968, "s": 1_047_360}
# Names of checkpoints count the language model: Qwen2.5-VL-3B has 3.75e9 weights, -7B 8.29e9 and -72B 73.4e9 with the
# vision encoder. So much is added to what a name says, at most.
VISION_SHARE = 0.25
VISION_MOST = 1_500_000_000
# Bytes; the format's own limit (HeaderTooLarge in the safetensors library).
LONGEST_HEADER = 100_000_000
# A further attempt gets at most this many times the memory or the time of the first.
MOST = 4.0


class Defaults(NamedTuple):
    """What one job asks for.

    Attributes:
        gpu: GPUs.
        nodes: nodes of a training job.
        threads: CPU threads on each node.
        mem_mb: host memory in MB on each node.
        runtime: time limit in minutes.
    """

    gpu: int = 0
    nodes: int = 1
    threads: int = 1
    mem_mb: int = CPU_MB
    runtime: int = 240


def defaults(
    parameters: int,
    kind: Kind,
    dtype: Literal["float32", "bfloat16"] = "bfloat16",
    gpu: int | None = None,
    processes: int | None = None,
    nodes: int | None = None,
) -> Defaults:
    """Return what a job asks for by the size of its model.

    Args:
        parameters: weights of the model.
        kind: kind of job.
        dtype: precision of evaluation.
        gpu: GPUs that the study gives it; threads and memory follow them.
        processes: training processes that the study gives it.
        nodes: nodes that the study gives it; threads and memory are those of one.
    """
    if parameters < SMALL:
        nodes = nodes or _nodes(kind, gpu or 0)
        processes = math.ceil((processes or 1) / nodes)
        return Defaults(gpu or 0, nodes, processes, CPU_MB * processes)
    width = 2 if dtype == "bfloat16" else 4
    runtime = min(LONGEST, 240 + math.ceil(MINUTES_PER_BILLION[kind] * parameters / 1e9))
    if kind == "model":
        # Files are fetched or copied, and read once for their fingerprint.
        return Defaults(gpu=gpu or 0, mem_mb=2 * CPU_MB, runtime=runtime)
    on_gpu = {"sft": TRAINING_BYTES, "grpo": TRAINING_BYTES + ROLLOUT_BYTES, "generate": width + CACHE_BYTES}[kind]
    # The state of a training is read and saved by way of host memory; an engine keeps a copy of the files as it loads.
    on_host = 2 * width if kind == "generate" else TRAINING_BYTES
    if gpu is None:
        gpu = _gpus(parameters * on_gpu)
        # An engine runs on one node.
        gpu = min(gpu, NODE_GPUS) if kind == "generate" else gpu
    nodes = nodes or _nodes(kind, gpu)
    processes = math.ceil((processes or max(1, gpu)) / nodes)
    mem_mb = math.ceil(parameters * on_host / nodes / 1e9) * 1000 + HOST_MB_PER_GPU * processes
    return Defaults(gpu, nodes, THREADS_PER_GPU * processes, mem_mb, runtime)


def fits_one_gpu(parameters: int, kind: Kind) -> bool:
    """Return whether one process can hold a whole model in training: weights, gradients and optimizer states."""
    return parameters * (TRAINING_BYTES + (ROLLOUT_BYTES if kind == "grpo" else 0)) <= GPU_BYTES * PLANNED


def _gpus(size: float) -> int:
    """Return the GPUs that so many bytes take, a power of two: attention heads and nodes divide by it."""
    return 1 << max(0, math.ceil(math.log2(size / (GPU_BYTES * PLANNED))))


def _nodes(kind: Kind, gpu: int) -> int:
    """Return the nodes that so many GPUs are on; what does not train stays on one."""
    return max(1, math.ceil(gpu / NODE_GPUS)) if kind in ("sft", "grpo") else 1


def size_of(path: str) -> int:
    """Return the weights of a local directory or a hub id. Raises ValueError where they cannot be told."""
    is_local = Path(path).is_dir()
    found = size_of_directory(path) if is_local else size_in_name(path)
    if found is None:
        why = "the directory has no readable *.safetensors" if is_local else "its name does not say"
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


def of(study: Study, model: str, kind: Kind, command: str, key: str, attempt: int = 1) -> Resolved:
    """Return what a job asks for, given how its earlier attempts ended.

    Args:
        study: the study.
        model: name of a model.
        kind: kind of job.
        command: the subcommand of its rule, such as `train`.
        key: what it works on, as attempts are recorded.
        attempt: Snakemake's number of this attempt; what is known is asked again for each.
    """
    base = study.models[model].resources_for(kind)
    file = attempts.file_of(command, key)
    if not file.exists():
        return base
    known = file.stat()
    mem_mb, runtime = for_attempt(
        base, _ended(command, key, attempt, str(file.absolute()), known.st_mtime_ns, known.st_size)
    )
    return base.model_copy(update={"mem_mb": mem_mb, "runtime": runtime})


def for_attempt(base: Resolved, earlier: Sequence[attempts.Attempt]) -> tuple[int, int]:
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
def _ended(command: str, key: str, attempt: int, *state: str | int) -> tuple[attempts.Attempt, ...]:
    """Return the attempts with their ends; kept, because Slurm is asked and a rule has several resources."""
    found = attempts.read(command, key)
    return tuple(item._replace(why=attempts.why(command, key, item)) for item in found)
