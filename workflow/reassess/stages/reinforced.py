"""What the kinds of reinforcement learning have in common: completions in groups of one prompt, and their rewards."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

from pydantic import model_validator

from reassess.rewards import Rewards
from reassess.spec import Positive, near
from reassess.stages.base import Needs, Trained
from reassess.stages.config_class import config_fields
from reassess.stages.epochs import Epoch, Work
from reassess.versions import JUDGE_VERSION

# Sampling in the training process: beside the training state, weights cast to bfloat16 (2) and a KV cache (1).
ROLLOUT_BYTES = 3
# The model that a KL penalty compares with, in float32. Beside adapters it is the model without them.
REFERENCE_BYTES = 4


class Reinforced(Trained):
    """A stage of reinforcement learning, which learns from the rewards of several completions to a prompt."""

    REWARDED: ClassVar[bool] = True
    BATCH: ClassVar[str] = "completions"
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Options of TRL's config whose values it looks at only when it computes the first loss."""

    batch_size: Positive
    """Completions per optimizer step, over all devices and accumulation steps: prompts x `args.num_generations`.
    `args.generation_batch_size` are the completions that are sampled at a time, where these serve several steps."""
    rewards: Rewards
    """Rewards by name, each with its weight, as `accuracy: 1.0` or `overlong: {weight: 1.0, buffer: 512}`."""

    @model_validator(mode="after")
    def _fits(self) -> Reinforced:
        generations = self._value("num_generations")
        if generations is None or generations < 2 or self.batch_size % generations:
            raise ValueError(
                f"args.num_generations: {generations} must be at least 2 and divide batch_size {self.batch_size}"
            )
        if (generated := self.args.get("generation_batch_size") or 0) % generations:
            raise ValueError(
                f"args.num_generations: {generations} must divide args.generation_batch_size {generated} too"
            )
        for key, known in self.CHOICES.items():
            if key in self.args and (value := self.args[key]) not in known:
                hint = near(str(value), known)
                raise ValueError(f"args.{key}: {value!r} is not valid; {hint}TRL has {', '.join(known)}")
        limit = self._value("max_completion_length")
        further = self.args.get("generation_kwargs")
        if isinstance(further, str):
            raise ValueError(f"args.generation_kwargs: {further!r} is text; give a mapping")
        if isinstance(further, dict) and "stop_strings" in further:
            raise ValueError("args.generation_kwargs.stop_strings cannot be set: TRL's completions end at tokens alone")
        for name, reward in self.rewards.chosen.items():
            if problem := reward.problem(limit):
                raise ValueError(f"rewards.{name}.{problem}")
        return self

    def _value(self, key: str) -> Any:
        """Return an option of TRL's config, its default where the study does not say."""
        return self.args.get(key, config_fields(self.CONFIG)[key][1])

    @property
    def needs(self) -> Needs:
        found = super().needs
        compares = self._value("beta") and self.lora is None
        return found._replace(bytes_per_weight=found.bytes_per_weight + REFERENCE_BYTES) if compares else found

    def options(self, processes: int) -> SimpleNamespace:
        found = super().options(processes)
        together = found.per_device_train_batch_size * processes
        # As TRL works out one from the other when its config is made.
        if found.generation_batch_size is not None:
            found.steps_per_generation = found.generation_batch_size // together
        elif found.steps_per_generation is None:
            found.steps_per_generation = found.gradient_accumulation_steps
        found.generation_batch_size = found.steps_per_generation * together
        return found

    def epoch(self, args: Any, rows: int, processes: int) -> Epoch:
        """Return what the trainer makes of its rows: completions to as many prompts as fill a generation batch.

        Raises:
            ValueError: generation batches and optimizer steps do not fit together, or there is not one of the former.
        """
        accumulation, uses = args.gradient_accumulation_steps, args.steps_per_generation * args.num_iterations
        if uses % accumulation and accumulation % uses:
            raise ValueError(
                f"args.steps_per_generation x num_iterations is {uses}: with {accumulation} accumulation steps "
                f"(batch_size / per_device_train_batch_size) it must be a multiple or a divisor of {accumulation}"
            )
        prompts = args.generation_batch_size // args.num_generations
        draws, left_over = divmod(rows, prompts)
        if draws * uses == 0:
            raise ValueError(
                f"{rows} examples do not fill one generation batch of {prompts} prompts; lower batch_size "
                f"({self.batch_size}) or args.generation_batch_size, or use a larger size"
            )
        return Epoch(
            rows,
            samples=draws * args.generation_batch_size,
            batches=draws * uses,
            drawn=args.generation_batch_size,
            uses=uses,
            left_over=left_over,
            boundary=max(1, uses // accumulation),
        )

    def work(self, examples: int, processes: int) -> Work:
        found, args = super().work(examples, processes), self.options(processes)
        return found._replace(
            prompts=found.sequences // args.num_generations,
            completions=found.sequences,
            longest=args.max_completion_length,
            sequences=found.sequences * args.num_iterations,
        )

    def sampler(self, gpus: int) -> str:
        return "transformers"

    def misfit_of_mixed(self, distributed: str, gpus: int) -> str | None:
        if self.sampler(gpus) == "transformers":
            return "TRL's own sampling cannot mix them in a batch (in a stage `grpo` `rollouts: {engine: vllm}` can)"
        return super().misfit_of_mixed(distributed, gpus)

    def identity(self, processes: int, gpus: int) -> dict[str, Any]:
        """Return what the weights that it makes depend on, of its own options."""
        return {**super().identity(processes, gpus), "rewards": self.rewards.identity(), "judge": JUDGE_VERSION}
