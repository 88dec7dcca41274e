"""Merges the weights of checkpoints of one architecture, tensor by tensor, in much less memory than one model takes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from reassess.models import alike
from reassess.models.alike import MergeError, Stored
from reassess.study.models import Model
from reassess.work.progress import Progress

if TYPE_CHECKING:
    import torch

__all__ = ["How", "MergeError", "merge"]

# Bytes of the largest shard. A single larger tensor (an embedding in float32) is a shard of its own.
SHARD = 2_000_000_000
# Weights computed at once. DARE draws chunk by chunk: another number is another result.
CHUNK = 1 << 20


class How(NamedTuple):
    """How models are merged.

    Attributes:
        method: `linear` sums weights times parents. `ties` (arXiv 2306.01708) keeps of each tensor's task vector,
            which is parent minus base, the share `density` of largest magnitude, elects a sign per weight, and takes
            the mean over those that agree with it. `dare` (arXiv 2311.03099) drops entries of task vectors at random,
            divides the rest by `density`, and sums. Both add the result to the base.
        weights: one factor per parent. As in PEFT, `ties` divides by the number of those that agree, so weights of 1
            are the paper's merge.
        density: share of a task vector that is kept, above 0 and up to 1.
        seed: of DARE's draws, which beside it depend on a tensor's name alone.
    """

    method: Literal["linear", "ties", "dare"]
    weights: Sequence[float]
    density: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class _Recipe:
    """How tensors are merged: `How` under the same names, and the precision to write."""

    method: Literal["linear", "ties", "dare"]
    weights: Sequence[float]
    density: float
    seed: int
    dtype: torch.dtype


def merge(
    parents: Sequence[Path],
    directory: Path,
    model: Model,
    how: How,
    base: Path | None = None,
    between: Callable[[], object] = lambda: None,
) -> None:
    """Write the weights that `parents` give together into `directory`, in the study's precision.

    Every checkpoint counts as the study loads it, in its precision; sums are taken in float32.

    Args:
        parents: checkpoint directories.
        directory: where `model.safetensors`, or shards and their index, are written; it exists. Configs and tokenizer
            are not written.
        model: the model of the study, for its precision and for loading a checkpoint of another layout.
        how: method and weights.
        base: the checkpoint that task vectors start from; `ties` and `dare` need it.
        between: called before each tensor; what it raises ends the merge.

    Raises:
        MergeError: arguments or checkpoints do not fit each other, or a merged weight is not finite.
    """
    import torch

    method, weights, density, seed = how
    if len(parents) != len(weights) or not parents:
        raise MergeError(f"{len(weights)} weights for {len(parents)} parents; give one weight per parent")
    if not any(weights):
        raise MergeError("all weights are 0; give at least one parent another weight")
    if method != "linear" and base is None:
        raise MergeError(
            f"method {method!r} merges differences to a base; name the base model that parents started from"
        )
    if not 0 < density <= 1:
        raise MergeError(f"density {density} is not above 0 and at most 1")
    # The base, where it counts, comes last in all that follows.
    sources = [*parents] if method == "linear" or base is None else [*parents, base]
    if directory.resolve() in [source.resolve() for source in sources]:
        raise MergeError(f"{directory}: a merged model cannot replace what it is made from; write it elsewhere")
    recipe = _Recipe(method, weights, density, seed, getattr(torch, model.dtype))
    scratch = directory.with_name(f".{directory.name}.rewritten")
    try:
        alike.compare_files(sources)
        stored = alike.rewrite([Stored.of(source) for source in sources], model, scratch)
        alike.compare_tensors(stored)
        _write(stored, directory, recipe, between)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(stored: list[Stored], directory: Path, recipe: _Recipe, between: Callable[[], object]) -> None:
    """Merge and write shard by shard, in the form of `PreTrainedModel.save_pretrained` (transformers 5)."""
    import torch
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import save_file

    for old in [*directory.glob("model*.safetensors"), directory / alike.INDEX]:
        old.unlink(missing_ok=True)
    planned = {}
    for name in stored[0].shapes:
        tensor = stored[0].read(name)
        dtype = recipe.dtype if tensor.is_floating_point() else tensor.dtype
        planned[name] = torch.empty(tensor.shape, dtype=dtype, device="meta")
    split = split_torch_state_dict_into_shards(
        planned, filename_pattern="model{suffix}.safetensors", max_shard_size=SHARD
    )
    progress = Progress("merging", len(planned), "tensors")
    for file, names in split.filename_to_tensors.items():
        shard = {}
        for name in names:
            between()
            shard[name] = _merged(name, stored, recipe)
            progress.update(1)
        save_file(shard, directory / file, metadata={"format": "pt"})
    progress.close()
    if split.is_sharded:
        total = sum(tensor.numel() for tensor in planned.values() if tensor.is_floating_point())
        index = {"metadata": {"total_parameters": total, **split.metadata}, "weight_map": split.tensor_to_filename}
        text = json.dumps(index, indent=2, sort_keys=True) + "\n"
        (directory / alike.INDEX).write_text(text, encoding="utf-8")


def _merged(name: str, stored: list[Stored], recipe: _Recipe) -> torch.Tensor:
    """Return one merged tensor of any shape: in the recipe's precision, or as it is where it holds no floats."""
    import torch

    # Read anew for each tensor: what has been read of a mapped file counts as this process's memory until it is closed.
    given = [one.read(name) for one in stored]
    if not all(tensor.is_floating_point() for tensor in given):
        for one, tensor in zip(stored[1:], given[1:], strict=True):
            if tensor.dtype != given[0].dtype or not torch.equal(tensor, given[0]):
                raise MergeError(
                    f"{stored[0].directory} and {one.directory}: {name} is no weight and differs "
                    f"({given[0].dtype}, {tensor.dtype}); merge checkpoints that agree in it"
                )
        return given[0].clone()
    result = torch.empty(given[0].shape, dtype=recipe.dtype)
    flat = result.view(-1)
    start = 0
    with torch.random.fork_rng(devices=[]):
        seed = int.from_bytes(hashlib.sha256(f"{recipe.seed}:{name}".encode()).digest()[:8], "big")
        torch.default_generator.manual_seed(seed)
        for chunk in _METHODS[recipe.method]([tensor.reshape(-1) for tensor in given], recipe):
            end = start + len(chunk)
            flat[start:end] = chunk
            if not flat[start:end].isfinite().all():
                names = ", ".join(str(one.directory) for one in stored)
                raise MergeError(f"{name}: the merge of {names} is not finite in {recipe.dtype}; check these weights")
            start = end
    return result


def _chunks(given: Sequence[torch.Tensor], recipe: _Recipe) -> Iterator[list[torch.Tensor]]:
    """Yield flat tensors of one length piece by piece, in float32."""
    for start in range(0, len(given[0]), CHUNK):
        yield [tensor[start : start + CHUNK].to(recipe.dtype).float() for tensor in given]


def _linear(given: list[torch.Tensor], recipe: _Recipe) -> Iterator[torch.Tensor]:
    # A parent that counts nothing is left out, so that the others stay as they are, signs of zeros included.
    pairs = [(tensor, weight) for tensor, weight in zip(given, recipe.weights, strict=True) if weight]
    for chunk in _chunks([tensor for tensor, _ in pairs], recipe):
        total = chunk[0] * pairs[0][1]
        for tensor, (_, weight) in zip(chunk[1:], pairs[1:], strict=True):
            total += tensor * weight
        yield total


def _dare(given: list[torch.Tensor], recipe: _Recipe) -> Iterator[torch.Tensor]:
    import torch
    from peft.utils.merge_utils import dare_linear, task_arithmetic

    weights = torch.tensor(recipe.weights)
    for *chunk, base in _chunks(given, recipe):
        tasks = [tensor - base for tensor in chunk]
        # PEFT warns of a density of 1, which drops nothing.
        merged = dare_linear(tasks, weights, recipe.density) if recipe.density < 1 else task_arithmetic(tasks, weights)
        yield base + merged


def _ties(given: list[torch.Tensor], recipe: _Recipe) -> Iterator[torch.Tensor]:
    # PEFT's own `ties` takes a tensor as a whole: for two parents and the embedding of Qwen2.5-VL-7B (152064 x 3584)
    # its copies, indices and masks are more than 24 GB. So it elects and merges here chunk by chunk; what needs the
    # whole tensor, the magnitude from which on entries stay, is found beforehand.
    import torch
    from peft.utils.merge_utils import calculate_majority_sign_mask, disjoint_merge, reshape_weight_task_tensors

    weights = torch.tensor(recipe.weights)
    trims = [_Trim.of(tensor, given[-1], recipe) for tensor in given[:-1]] if recipe.density < 1 else []
    for *chunk, base in _chunks(given, recipe):
        tasks = torch.stack([tensor - base for tensor in chunk])
        for task, trim in zip(tasks, trims, strict=False):
            task *= trim.keeps(task)
        signs = calculate_majority_sign_mask(tasks)
        yield base + disjoint_merge(tasks * reshape_weight_task_tensors(tasks, weights), signs)


@dataclass
class _Trim:
    """Which entries of a task vector stay: those of larger magnitude than a limit, and the first few that equal it.

    Attributes:
        limit: the smallest magnitude that stays, as the bits of a float32, which order as the floats do.
        equal: how many entries of just this magnitude stay yet.
    """

    limit: int
    equal: int

    @classmethod
    def of(cls, tensor: torch.Tensor, base: torch.Tensor, recipe: _Recipe) -> _Trim:
        """Find the limit by which int(density x entries) stay: first its upper 16 bits, then its lower ones."""
        import torch

        upper = torch.zeros(1 << 15, dtype=torch.int64)
        for one, other in _chunks([tensor, base], recipe):
            upper += torch.bincount(_bits(one - other) >> 16, minlength=len(upper))
        high, left = _reach(upper, int(recipe.density * len(tensor)))
        lower = torch.zeros(1 << 16, dtype=torch.int64)
        for one, other in _chunks([tensor, base], recipe):
            bits = _bits(one - other)
            lower += torch.bincount(bits[bits >> 16 == high] & 0xFFFF, minlength=len(lower))
        low, left = _reach(lower, left)
        return cls(high << 16 | low, left)

    def keeps(self, task: torch.Tensor) -> torch.Tensor:
        """Return for the next entries of the task vector which of them stay."""
        bits = _bits(task)
        equal = bits == self.limit
        found = int(equal.count_nonzero())
        if found > self.equal:
            equal &= equal.cumsum(0) <= self.equal
        self.equal -= min(found, self.equal)
        return (bits > self.limit) | equal


def _bits(task: torch.Tensor) -> torch.Tensor:
    import torch

    return task.abs().view(torch.int32)


def _reach(counts: torch.Tensor, wanted: int) -> tuple[int, int]:
    """Return the place at which `wanted` are reached, counted from above, and how many of this place are among them."""
    sums = counts.flip(0).cumsum(0)
    place = int((sums < wanted).sum())
    before = int(sums[place - 1]) if place else 0
    return len(counts) - 1 - place, wanted - before


_METHODS: dict[str, Callable[[list[torch.Tensor], _Recipe], Iterator[torch.Tensor]]] = {
    "linear": _linear,
    "ties": _ties,
    "dare": _dare,
}
