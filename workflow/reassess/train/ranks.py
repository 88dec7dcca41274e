"""What the training processes of one run do together. With one process each of these does next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from reassess.study.models import Distributed
from reassess.train import launch
from reassess.train.launch import World
from reassess.train.plan import TrainError

T = TypeVar("T")


def number() -> int:
    """Return this process' number among them, from 0."""
    return launch.rank()


def is_first() -> bool:
    """Whether this process writes files and speaks for all."""
    return number() == 0


def world() -> World:
    """Return the training processes that this one belongs to."""
    found = launch.launched()
    return World() if found is None else found.world


def is_sharded() -> bool:
    """Whether DeepSpeed shares the model among the processes, with checkpoints of its own."""
    return world().processes > 1 and world().distributed != "ddp"


def check(args: Any) -> None:
    """Compare what was started with what the study asks for; to be called once the trainer's config is built.

    Some launchers start one process where several were meant, or train without sharding, and do not say so.

    Raises:
        TrainError: it is another number of processes, or the model is shared in another way.
    """
    wanted = world()
    plugin = getattr(args, "deepspeed_plugin", None)
    kinds: dict[int | None, Distributed] = {None: "ddp", 2: "zero2", 3: "zero3"}
    found = World(args.world_size, distributed=kinds[None if plugin is None else plugin.zero_stage])
    if str(found) != str(wanted):
        raise TrainError(f"{wanted} were to train, but accelerate has set up {found}")
    if is_sharded() and not wanted.gpu:
        from deepspeed import ops

        # Collectives over shared memory, which DeepSpeed would compile at its first use for minutes; gloo does as well.
        ops.__compatible_ops__["deepspeed_shm_comm"] = False
    on_gpu = args.device.type == "cuda"
    if on_gpu != wanted.gpu and wanted.processes > 1:
        place = "GPUs" if wanted.gpu else "the CPU"
        raise TrainError(f"training was to run on {place}, but the device is {args.device}")


def share(value: T) -> T:
    """Return the first process' value in all of them."""
    if world().processes == 1:
        return value
    import torch.distributed as dist

    holder = [value]
    dist.broadcast_object_list(holder)
    return holder[0]


def wait_for_all() -> None:
    """Return when every process has come here."""
    if world().processes > 1:
        import torch.distributed as dist

        dist.barrier()


def gather(value: T) -> list[T]:
    """Return the values of all processes, in their order."""
    values = [value] * world().processes
    if len(values) > 1:
        import torch.distributed as dist

        dist.all_gather_object(values, value)
    return values


def total(value: float) -> float:
    """Return the sum of a number over the processes."""
    return sum(gather(value))


def part() -> None:
    """Come here last: from here on every process is alone."""
    if world().processes > 1:
        import torch.distributed as dist

        dist.barrier()
        dist.destroy_process_group()


def weights(trainer: Any) -> dict[str, Any]:
    """Return a model's weights by name, gathered from all processes; on the first, elsewhere nothing of use.

    Of a model with an adapter ZeRO-3 gathers what is trained alone.
    """
    if world().processes > 1 and world().distributed == "zero3":
        from accelerate.utils import is_peft_model

        if is_peft_model(trainer.model):
            trained = trainer.model_wrapped._zero3_consolidated_16bit_state_dict(exclude_frozen_parameters=True)
            return trained or {}
        gathered: dict[str, Any] = trainer.accelerator.get_state_dict(trainer.model_wrapped)
        return gathered or {}
    found: dict[str, Any] = trainer.model.state_dict()
    return found


@contextmanager
def whole(parameters: list[Any]) -> Iterator[None]:
    """Have parameters whole in every process, of which ZeRO-3 leaves a share to each; all of them call this."""
    if world().processes > 1 and world().distributed == "zero3":
        from deepspeed import zero

        with zero.GatheredParameters(parameters):
            yield
    else:
        yield


@contextmanager
def unsharded() -> Iterator[None]:
    """Let `from_pretrained` load a whole model into this process, which under ZeRO-3 it would spread over all."""
    from transformers.integrations import deepspeed

    before = deepspeed._hf_deepspeed_config_weak_ref
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = before
