"""What every kind of stage says of itself, and what the kinds that TRL trains have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_args

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from reassess.spec import Name, Positive, Strict
from reassess.stages import vary
from reassess.stages.config_class import ConfigClass, config_fields
from reassess.stages.epochs import Epoch, Work, length, trajectory
from reassess.stages.lora_args import changed_lora, check_lora
from reassess.stages.trainer_args import accumulation, changed, check_args, split_problem

Part = Literal["vision_tower", "projector", "language_model"]
# Bytes per weight that LoRA saves: gradients (4) and Adam's two moments (8), less what the adapters take. At rank 64 on
# all linear layers of Qwen2.5-7B these are 2% of the weights, with 16 bytes each: 0.3, and 0.5 with a reserve.
LORA_SAVES = 11.5
# On the host: the model as it is loaded and the merged one, both in float32, and the exported one as it is checked.
LORA_HOST_BYTES = 12


class Parents(NamedTuple):
    """How many models a stage starts from.

    Attributes:
        fewest: at least so many.
        most: at most so many, None for any number.
    """

    fewest: int = 1
    most: int | None = 1


class Needs(NamedTuple):
    """What a stage takes of a machine, by the weights of its model.

    Attributes:
        bytes_per_weight: memory of the GPUs; 0 for a stage that uses none.
        minutes_per_billion: minutes per 1e9 weights.
        host_bytes_per_weight: memory of the hosts beside what every process takes.
        host_bytes_per_process: what every process with a GPU keeps of each weight on its host, beside that.
    """

    bytes_per_weight: float
    minutes_per_billion: float
    host_bytes_per_weight: float
    host_bytes_per_process: float = 0.0


class Variant(NamedTuple):
    """A stage with one value of each varied option.

    Attributes:
        stage: the stage.
        values: its varied options, brought to their types.
    """

    stage: AnyStage
    values: dict[str, Any]


class Match(Strict):
    """Trains a stage for as long as costs what another recipe has cost."""

    recipe: Name
    """The recipe, taken at the same model, pool, seed and size. All stages on its way count; what models write for the
    sets of examples that these train on does not."""
    by: Literal["samples", "tokens", "flops"]
    """What is to be equal. `samples`: sequences that are trained on, in SFT rows, in RL completions that are learnt
    from. `tokens`: of prompts and responses that go through a training step. `flops`: 6 per weight and token of
    these, and 2 per weight and token that goes forward alone, as in sampling (arXiv 2001.08361, section 2.1). A stage
    of RL can be given samples alone."""


class AnyStage(Strict):
    """A step that makes a model from models."""

    VERSION: ClassVar[int]
    """Raised when a change of code changes what the stage makes."""
    PARENTS: ClassVar[Parents] = Parents()
    READS_EXAMPLES: ClassVar[bool] = True
    """Whether it reads training examples, so that its place in a cell's path has a size."""
    CHOOSES: ClassVar[bool] = False
    """Whether it starts from a checkpoint that its parent has kept, and not from the finished model."""
    REWARDED: ClassVar[bool] = False
    """Whether it learns from rewards: the judge's version counts then, and rewards can be set beside accuracy."""
    NEEDS: ClassVar[Needs]
    """What it takes of a machine, unless its options say otherwise (`needs`)."""
    RUN: ClassVar[str]
    """The function that runs it, as `module:function`; resolved when it runs, because it imports torch."""

    kind: str
    """Names the kind."""
    vary: dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]] = {}
    """Options of the stage, or of its `args`, each with a list of values: an axis of the study, with one variant of the
    stage for each combination. A recipe that names the stage stands for all of them."""

    @model_validator(mode="before")
    @classmethod
    def _first(cls, data: Any) -> Any:
        """Give a stage that stands for variants the values of its first one, so that it is whole."""
        combinations = vary.combinations(data)
        return cls._with(data, combinations[0]) if combinations else data

    @classmethod
    def _with(cls, data: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a study says of a stage, with values of varied options put in."""
        own = [name for name in cls.model_fields if name not in ("kind", "vary", "args")]
        return {**data, **vary.fields(data, values, own, cls._arguments())}

    @classmethod
    def _arguments(cls) -> Iterable[str]:
        """Return the names of options that stand under `args`."""
        return ()

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return vary.without(handler(self), self.vary)

    @cached_property
    def variants(self) -> Mapping[str, Variant]:
        """The variants that the stage stands for, by the name that spells their values; none without `vary`.

        Raises:
            ValueError: one is not valid (a ValidationError), or has no name of its own.
        """
        found: dict[str, Variant] = {}
        data = self.model_dump()
        for values in vary.combinations(data):
            stage = self.model_validate({**self._with(data, values), "vary": {}})
            typed = {key: _plain(stage.option(key)) for key in values}
            name = vary.spelt(typed)
            if name in found:
                raise ValueError(f"two variants are called {name!r}; give each value once")
            found[name] = Variant(stage, typed)
        return found

    def option(self, key: str) -> Any:
        """Return the value of an option."""
        return getattr(self, key)

    @property
    def reads(self) -> str | None:
        """The set of `examples` that it reads in place of the cell's pool, None where it reads no other."""
        return None

    @property
    def imitates(self) -> int | None:
        """The rationales of an example that it imitates at most, 0 where the gold alone; None where it imitates none,
        so that the chat template need not say where a response ends."""
        return None

    @property
    def matches(self) -> str | None:
        """The recipe whose cost decides how long it trains, None where its own options do."""
        return None

    @property
    def keeps(self) -> int:
        """Intermediate checkpoints that it keeps."""
        return 0

    @property
    def chooses_by(self) -> str | None:
        """The suite by whose scores it chooses among the checkpoints that its parent has kept, None for none."""
        return None

    @property
    def needs_base(self) -> bool:
        """Whether it reads the base model beside the models that it starts from."""
        return False

    @property
    def needs(self) -> Needs:
        """What it takes of a machine, as its options are."""
        return self.NEEDS

    def choose(self, kept: Sequence[int], accuracy: Mapping[int, float]) -> int:
        """Return the step of its parent's kept checkpoints that it starts from; asked of a stage that `CHOOSES` alone.

        Args:
            kept: the steps of the kept checkpoints, ascending.
            accuracy: the accuracy of each in the suite that `chooses_by` names.

        Raises:
            ValueError: there is none such.
        """
        raise NotImplementedError

    def misfit_of_parents(self, count: int) -> str | None:
        """Return why it cannot start from so many models, None where it can."""
        fewest, most = self.PARENTS
        if count < fewest or (most is not None and count > most):
            wanted = str(fewest) if most == fewest else f"{fewest} or more" if most is None else f"{fewest} to {most}"
            return f"starts from {wanted} model{'' if wanted == '1' else 's'}, and here from {count}"
        return None

    def misfit_of_processes(self, count: int) -> str | None:
        """Return why so many training processes cannot share it, None where they can."""
        return None

    def misfit_of_sampler(self, gpus: int) -> str | None:
        """Return why the engine of a job with so many GPUs cannot sample for it, None where it can."""
        return None

    def misfit_of_mixed(self, distributed: str, gpus: int) -> str | None:
        """Return why it cannot train on examples of which some have images, None where it can.

        Args:
            distributed: how several training processes share the model; `ddp` also where there is one.
            gpus: their GPUs, 0 on a CPU.
        """
        return None

    def sampler(self, gpus: int) -> str | None:
        """Return the engine that its completions come from in a job with so many GPUs, None where it samples none."""
        return None

    @property
    def drawing(self) -> Sequence[str]:
        """How it draws the prompts that it samples for, in words; nothing where every one is drawn once an epoch."""
        return ()

    def work(self, examples: int, processes: int) -> Work:
        """Return what a run does at most; nothing that counts where it trains nothing, or as long as costs what
        another recipe has cost: then the checkpoints that it keeps alone.

        Args:
            examples: its training examples.
            processes: training processes.

        Raises:
            ValueError: its options and so many examples do not fit together.
        """
        return Work()

    @abstractmethod
    def identity(self, processes: int, gpus: int) -> dict[str, Any]:
        """Return what the weights that it makes depend on, of its own options; values at their defaults are left out.

        Args:
            processes: training processes.
            gpus: their GPUs, 0 on a CPU.
        """


def _plain(value: Any) -> Any:
    return value.model_dump(exclude_defaults=True) if isinstance(value, BaseModel) else value


class Trained(AnyStage):
    """A stage that a trainer of TRL runs on the cell's examples."""

    CONFIG: ClassVar[ConfigClass]
    """The config class of TRL whose options `args` holds."""
    BATCH: ClassVar[str]
    """What `batch_size` counts."""

    on: Name | None = None
    """The set of `examples` that it trains on, in place of the cell's pool."""
    batch_size: Positive
    args: dict[str, Any] = {}
    match: Match | None = None
    """What another recipe has cost, in place of `num_train_epochs` and `max_steps`."""
    trajectory: Annotated[int, Field(ge=0)] = 0
    """Intermediate checkpoints to keep, evenly spaced, the last step included."""
    lora: dict[str, Any] | None = None
    """Options of `peft.LoraConfig` under their own names, as `{r: 16, lora_alpha: 32}`: low-rank adapters (arXiv
    2106.09685) are trained in place of the weights, and merged into them at the end. `{}` takes PEFT's defaults.
    Without `target_modules` every linear layer of the language model has one, its output layer excepted."""
    freeze: tuple[Part, ...] = ()
    """Parts of the model that stay as they are: `vision_tower`, `projector` (between the two, also where it is a part
    of the vision encoder), `language_model` (with its embedding and output layer). With `lora` they get no adapter."""

    @model_validator(mode="after")
    def _args(self) -> Trained:
        object.__setattr__(self, "args", check_args(self.CONFIG, self.args, self.batch_size))
        return self

    @model_validator(mode="after")
    def _matches(self) -> Trained:
        if self.match is None:
            return self
        if given := [key for key in ("num_train_epochs", "max_steps") if key in self.args]:
            raise ValueError(f"match: decides how long it trains, and so does args.{given[0]}; leave one of them out")
        if self.REWARDED and self.match.by != "samples":
            raise ValueError(
                f"match.by: {self.match.by!r}: how long completions are is not known before they are sampled, so that "
                "a stage of RL can be given `samples` alone; to compare by this, match the other recipe to this one"
            )
        return self

    @model_validator(mode="after")
    def _trains_something(self) -> Trained:
        if twice := [part for i, part in enumerate(self.freeze) if part in self.freeze[:i]]:
            raise ValueError(f"freeze: {twice[0]!r} stands twice")
        if set(self.freeze) == set(get_args(Part)):
            raise ValueError("freeze: nothing is left to train")
        if self.lora is not None:
            object.__setattr__(self, "lora", check_lora(self.lora))
            if "language_model" in self.freeze and not {"target_modules", "target_parameters"} & self.lora.keys():
                raise ValueError(
                    "freeze: without `lora.target_modules` adapters are in the language model alone; name others, "
                    "such as `target_modules: all-linear`"
                )
        return self

    @classmethod
    def _arguments(cls) -> Iterable[str]:
        return config_fields(cls.CONFIG)

    def option(self, key: str) -> Any:
        return getattr(self, key) if key in type(self).model_fields else self.args[key]

    @property
    def reads(self) -> str | None:
        return self.on

    @property
    def matches(self) -> str | None:
        return self.match.recipe if self.match else None

    @property
    def keeps(self) -> int:
        return self.trajectory

    @property
    def needs(self) -> Needs:
        if self.lora is None:
            return self.NEEDS
        return self.NEEDS._replace(
            bytes_per_weight=self.NEEDS.bytes_per_weight - LORA_SAVES, host_bytes_per_weight=LORA_HOST_BYTES
        )

    def options(self, processes: int) -> SimpleNamespace:
        """Return the trainer's options as its config will have them: the study's, the defaults, and what follows."""
        per_device, steps = accumulation(self.args, self.batch_size, processes)
        decided = {"per_device_train_batch_size": per_device, "gradient_accumulation_steps": steps}
        defaults = {name: default for name, (_, default) in config_fields(self.CONFIG).items()}
        return SimpleNamespace(**{**defaults, **self.args, **decided})

    def epoch(self, args: Any, rows: int, processes: int) -> Epoch:
        """Return what the trainer makes of its rows: each is seen once, the last batch is a smaller one.

        Args:
            args: has the trainer's options as attributes.
            rows: the training examples.
            processes: training processes.

        Raises:
            ValueError: options and rows do not fit together.
        """
        together = args.per_device_train_batch_size * processes
        return Epoch(rows, samples=rows, batches=math.ceil(rows / together), drawn=together)

    def work(self, examples: int, processes: int) -> Work:
        args = self.options(processes)
        epoch = self.epoch(args, examples * (self.imitates or 1), processes)
        if self.match is not None:
            return Work(kept=self.trajectory)
        _, steps, samples = length(args, epoch)
        return Work(sequences=samples, steps=steps, kept=len(trajectory(steps, self.trajectory)))

    def misfit_of_processes(self, count: int) -> str | None:
        return split_problem(self.args, self.batch_size, count)

    def misfit_of_mixed(self, distributed: str, gpus: int) -> str | None:
        if "language_model" in self.freeze:
            return "those without one train the language model alone, which `freeze` names"
        # A process without an image never asks for the vision weights, and the others wait for it.
        return "ZeRO-3 cannot mix them (zero2 and ddp can)" if distributed == "zero3" else None

    def identity(self, processes: int, gpus: int) -> dict[str, Any]:
        """Return what the weights that it makes depend on, of its own options; values at their defaults are left out.

        Args:
            processes: training processes.
            gpus: their GPUs, 0 on a CPU.
        """
        fields: dict[str, Any] = {
            "batch_size": self.batch_size,
            "args": changed(self.CONFIG, self.args, self.batch_size, processes),
        }
        # Of which recipe: a run depends on what that has cost, not on its name.
        fields |= {"match": self.match.by} if self.match else {}
        fields |= {"trajectory": self.trajectory} if self.trajectory else {}
        fields |= {"freeze": sorted(self.freeze)} if self.freeze else {}
        return fields | ({} if self.lora is None else {"lora": changed_lora(self.lora)})
