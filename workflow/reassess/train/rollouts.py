"""Rollouts by vLLM: an engine beside the model that is trained, in every training process.

TRL 1.16's own way to vLLM hands over prompts whose image tokens are expanded already, and keeps the features of images
when the weights change (TRL issues 6294 and 7198). Here its public hook `rollout_func` asks an engine of ours, which
gets a prompt as evaluation does: its text, with one token for an image, and the image.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers.core_model_loading import revert_weight_conversion

from reassess.engines import vllm
from reassess.engines.base import EngineError, Question, Setting, sample_seed
from reassess.stages.grpo import GrpoStage
from reassess.train import data, ranks
from reassess.train.loop import Started
from reassess.train.plan import TrainError

# Share of a GPU's memory for weights and KV cache while it samples; the trainer's part stays where it is. TRL's own
# default (`vllm_gpu_memory_utilization`).
GPU_SHARE = 0.3
# Added to the logits of tokens that are not to be sampled: e^-100 of their probability is left.
BANNED = -100.0


class Sampled(NamedTuple):
    """Completions to some prompts, one to each.

    Attributes:
        prompt_ids: the prompts' tokens, image tokens expanded.
        ids: the completions' tokens, that of the end included.
        logprobs: the log-probability that the sampler gave each of them, comparable with the trainer's.
    """

    prompt_ids: list[list[int]]
    ids: list[list[int]]
    logprobs: list[list[float]]


class Rollouts:
    """A vLLM engine that samples with the weights of the model in training.

    Args:
        started: the run.

    Raises:
        TrainError: the engine cannot run here, or does not take the study's options.
    """

    def __init__(self, started: Started) -> None:
        stage, args, task = started.stage, started.args, started.task
        assert isinstance(stage, GrpoStage)
        self.where = f"stages.{task.run.stage}"
        self.reader, self.seed = started.rows.reader, task.run.seed
        gpus = int(task.world.gpu)
        # The weights are handed over as tensors, which needs the engine in this process.
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        if reason := vllm.why_not(gpus):
            raise TrainError(
                f"{self.where}.rollouts.engine: vllm cannot run here: {reason}; set transformers, or run where it can"
            )
        engine_args = {**_engine_args(args.temperature, gpus), **stage.rollouts.engine_args}
        self._sleeps = engine_args.get("enable_sleep_mode", False)
        setting = Setting(
            reader=self.reader,
            max_model_len=self.reader.model.max_prompt_length + args.max_completion_length,
            seed=self.seed,
            gpus=gpus,
            batch_size=1,
            engine_args=engine_args,
            where=f"{self.where}.rollouts",
        )
        self._sampling = _sampling(args, self.reader.stops, data.placeholders(started.model.config))
        try:
            # vLLM seeds all generators of the process.
            with _generators_kept():
                self._llm = vllm.launch(str(task.parents[0].path), setting)
            self._params(None)
        except EngineError as error:
            raise TrainError(str(error)) from None
        except (TypeError, ValueError, vllm.refusal()) as error:
            raise TrainError(f"{self.where}.args: vLLM does not sample like this: {error}") from None
        self._synced, self._draws = -1, 0
        self._sleep()

    def sample(self, questions: Sequence[Question], seeds: Sequence[int | None], **options: Any) -> Sampled:
        """Return a completion to each question.

        Args:
            questions: what is asked.
            seeds: a seed for each completion, so that what is sampled beside it does not matter.
            options: further options of `vllm.SamplingParams`.

        Raises:
            TrainError: vLLM reads a prompt otherwise than training does, or does not answer it.
        """
        self._wake()
        outputs = self._llm.generate(
            [vllm.prompt(item) for item in questions],
            [self._params(seed, **options) for seed in seeds],
            use_tqdm=False,
            tokenization_kwargs=vllm.TOKENIZATION,
        )
        self._sleep()
        self._check(questions, outputs)
        answers = [output.outputs[0] for output in outputs]
        return Sampled(
            [list(output.prompt_token_ids) for output in outputs],
            [list(answer.token_ids) for answer in answers],
            [
                [at[token].logprob for token, at in zip(answer.token_ids, answer.logprobs, strict=True)]
                for answer in answers
            ],
        )

    def sync(self, model: Any) -> None:
        """Give the engine the weights of the model, and drop what it has computed with others."""
        self._wake()
        # Processed pixels stay: they do not depend on the weights.
        vllm.reload(self._llm, weights_iterator=named_weights(model))

    def roll(self, rows: Sequence[dict[str, Any]], trainer: Any) -> Sampled:
        """Return a completion to each row, sampled with the weights that the model has in this step.

        Args:
            rows: of this process; all processes have as many.
            trainer: TRL's trainer.
        """
        step = trainer.state.global_step
        if step != self._synced:
            self.sync(trainer.model)
            self._synced, self._draws = step, 0
        first = ranks.number() * len(rows)
        questions = [Question(row[data.RENDERED], row.get("images") or []) for row in rows]
        seeds = [sample_seed(self.seed, {"step": step, "draw": self._draws}, first + i) for i in range(len(rows))]
        # A step draws several times with dynamic sampling, and where it is more than one generation batch.
        self._draws += 1
        return self.sample(questions, seeds)

    def check_prompts(self, rows: data.Rows) -> None:
        """Compare the first prompts as vLLM reads them, token by token, with those of evaluation. Raises TrainError."""
        examples = list(rows.examples[: data.CHECKED])
        questions = [Question(rows.reader.render(item), rows.reader.pictures(item)) for item in examples]
        found = self.sample(questions, [None] * len(questions), temperature=0.0, min_tokens=0, max_tokens=1)
        for example, ids in zip(examples, found.prompt_ids, strict=True):
            data.check_prompt(example, ids, rows)

    def _check(self, questions: Sequence[Question], outputs: Sequence[Any]) -> None:
        """Make sure that vLLM has read and answered prompts; one that stands there several times is measured once.

        Raises:
            TrainError: it has not.
        """
        measured: set[tuple[str, tuple[tuple[int, int], ...], int]] = set()
        for question, output in zip(questions, outputs, strict=True):
            length, (answer,) = len(output.prompt_token_ids), output.outputs
            seen = question.prompt, tuple(picture.size for picture in question.pictures), length
            if seen not in measured:
                self._check_length(question, length)
                measured.add(seen)
            if answer.finish_reason not in ("stop", "length"):
                said = f"{answer.finish_reason!r} ({question.prompt[:80]!r} ...)"
                raise TrainError(f"vLLM ended a completion with {said}")

    def _check_length(self, question: Question, length: int) -> None:
        """Compare the tokens that vLLM makes of a prompt with those of training. Raises TrainError."""
        if length == self.reader.lengths(question.prompt, question.pictures)[0]:
            return
        expected = self.reader.exact(question.prompt, question.pictures)
        if length != expected:
            raise TrainError(
                f"vLLM makes {length} tokens of a prompt that has {expected} in training "
                f"({question.prompt[:80]!r} ...), so its completions would answer another prompt; set "
                f"`{self.where}.rollouts.engine: transformers`"
            )

    def _params(self, seed: int | None, **options: Any) -> Any:
        from vllm import SamplingParams

        return SamplingParams(seed=seed, **{**self._sampling, **options})

    def _sleep(self) -> None:
        """Leave the GPU to the trainer: the weights go to the host (level 1), the KV cache goes."""
        if self._sleeps:
            self._llm.sleep(level=1)

    def _wake(self) -> None:
        if self._sleeps and self._llm.llm_engine.is_sleeping():
            torch.cuda.empty_cache()
            self._llm.wake_up()


def _engine_args(temperature: float, gpus: int) -> dict[str, Any]:
    """Return the arguments of an engine that is one of several users of its process and GPU."""
    # Raw ones are of the model, as those of the trainer are: without the ban of tokens and the options of sampling. But
    # without the temperature too, by which the trainer divides.
    found: dict[str, Any] = {"logprobs_mode": "raw_logprobs" if temperature == 1 else "processed_logprobs"}
    if gpus:
        found |= {"gpu_memory_utilization": GPU_SHARE, "enable_sleep_mode": True}
    if ranks.world().processes > 1:
        found["distributed_executor_backend"] = "external_launcher"
    return found


def _sampling(args: Any, stops: list[int], placeholders: list[int]) -> dict[str, Any]:
    """Return what TRL's options of sampling are for vLLM, as TRL itself hands them over.

    Args:
        args: TRL's config.
        stops: the tokens that end a completion.
        placeholders: the tokens that stand for images, behind which a completion would have none.
    """
    further = dict(args.generation_kwargs or {})
    banned = {**(further.pop("logit_bias", None) or {}), **dict.fromkeys(placeholders, BANNED)}
    return {
        "temperature": args.temperature,
        "top_p": args.top_p,
        "top_k": args.top_k,
        "min_p": args.min_p or 0.0,
        "repetition_penalty": args.repetition_penalty,
        "max_tokens": args.max_completion_length,
        "stop_token_ids": stops,
        "logprobs": 0,
        "detokenize": False,
        **further,
        "logit_bias": banned or None,
    }


@contextmanager
def _generators_kept() -> Iterator[None]:
    """Leave the random generators of this process as they were."""
    states = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        yield
    random.setstate(states[0])
    np.random.set_state(states[1])


def named_weights(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the weights of a model under the names of a checkpoint, one at a time, of a sharded one whole.

    Adapters are merged into the weights that are yielded, and not into the model: to merge and to take back would
    change it by a rounding at every step, and a resumed run would have another model than an unbroken one.
    """
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    for name, weight in _merged(base):
        # The names in memory differ where transformers renames on loading (LLaVA, Qwen2-VL): `save_pretrained` maps
        # them back by the same function.
        yield from revert_weight_conversion(base, {name: weight}).items()


def _merged(base: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the weights of a model under the names that they would have without adapters."""
    modules: Iterator[tuple[str, Any]] = base.named_modules()
    # PEFT wraps a module once for each of its parameters that has an adapter: the experts of a mixture have two.
    layers = {
        name: module
        for name, module in modules
        if isinstance(module, BaseTunerLayer) and not name.endswith(".base_layer")
    }
    layer: Any
    for name, layer in layers.items():
        with ranks.whole(list(layer.parameters())), _with_adapter(layer) as weights:
            yield from ((f"{name}.{of}", weight) for of, weight in weights.items())
    # What PEFT trains whole stands beside the original.
    for name, parameter in base.named_parameters():
        if any(name.startswith(f"{layer}.") for layer in layers) or "original_module." in name:
            continue
        with ranks.whole([parameter]):
            yield name.replace("modules_to_save.default.", ""), parameter.detach()


@contextmanager
def _with_adapter(layer: Any) -> Iterator[dict[str, torch.Tensor]]:
    """Give the weights of a layer with its adapters merged into them; afterwards it is as it was, bit for bit."""
    inner = layer.get_base_layer()
    before = {name: parameter.data for name, parameter in inner.named_parameters()}
    wrappers = [layer]
    while isinstance(wrappers[-1].base_layer, BaseTunerLayer):
        wrappers.append(wrappers[-1].base_layer)
    for wrapper in wrappers:
        # `safe_merge` computes into a copy.
        wrapper.merge(safe_merge=True)
    try:
        yield {name: parameter.detach() for name, parameter in inner.named_parameters()}
    finally:
        for name, parameter in inner.named_parameters():
            parameter.data = before[name]
        for wrapper in wrappers:
            wrapper.merged_adapters.clear()
