"""What the processes of rl_step.py do: they train one arm and watch it, or build a model.

    python perf/rl_arms.py '{"arm": "vllm", ...}'

The argument is a `Setting` as JSON.
"""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BEGUN = time.perf_counter()
MODEL, SEED, RATE = "model", 1, 2.0e-4
WEIGHTS = {"accuracy": 1.0, "format": 0.5}
# Completions of a forward and backward pass.
MICRO_BATCH = 8
# What Qwen2.5-VL-3B has otherwise than the 7B of perf/merge.py; from memory but for the shapes.
TEXT_3B = {"vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36}
TEXT_3B |= {"num_attention_heads": 16, "num_key_value_heads": 2}


class Setting(NamedTuple):
    """What a process does.

    Attributes:
        arm: `trl`, `transformers`, `vllm`, or `shape` to build a model.
        folder: where `study.json` and `results/` are; a model is built in `shape/`.
        gpu: whether the device is one.
        prompts: of a step.
        generations: completions to each.
        tokens: the most of a completion.
        steps: optimizer steps.
        out: where the report goes.
        replay: the report whose completions plain TRL trains on, empty for its own.
    """

    arm: str
    folder: str
    gpu: bool
    prompts: int
    generations: int
    tokens: int
    steps: int
    out: str = ""
    replay: str = ""

    @property
    def batch(self) -> int:
        """Completions of a step."""
        return self.prompts * self.generations

    @property
    def rows(self) -> int:
        return self.prompts * self.steps


def options(setting: Setting) -> dict[str, Any]:
    """Return the options of TRL that all arms have."""
    return {
        "num_train_epochs": 1,
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "num_generations": setting.generations,
        "max_completion_length": setting.tokens,
        "per_device_train_batch_size": MICRO_BATCH if setting.batch % MICRO_BATCH == 0 else setting.batch,
        "logging_steps": 1,
    }


class Watch:
    """Times the parts of a trainer's steps, each without those inside of it, and notes what comes out of them.

    Args:
        gpu: whether the device is one; its work is waited for at both ends of a part.
    """

    def __init__(self, gpu: bool) -> None:
        self.gpu = gpu
        self.start = 0.0
        self.steps: list[dict[str, Any]] = []
        self._open = ["rest"]
        self._last = self.now()
        self._clear()

    def now(self) -> float:
        if not self.gpu:
            return time.process_time()
        import torch

        torch.cuda.synchronize()
        return time.perf_counter() - BEGUN

    def time(self, owner: Any, name: str, part: str, note: Callable[[Any], None] | None = None) -> None:
        """Have a method count for a part, and its result noted."""
        method = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            # The forward pass of the loss is made by the same method as that of the correction.
            if part == "correct" and "forward" in self._open:
                return method(*args, **kwargs)
            self._charge()
            self._open.append(part)
            try:
                found = method(*args, **kwargs)
            finally:
                self._charge()
                self._open.pop()
            if note:
                note(found)
            return found

        setattr(owner, name, timed)

    def attach(self, trainer: Any) -> None:
        """Watch a trainer of TRL."""
        from transformers import TrainerCallback

        self.time(trainer, "_generate", "generate", self._sampled)
        self.time(trainer, "_calculate_rewards", "judge", lambda found: self._note("rewards", found.tolist()))
        self.time(trainer, "_get_per_token_logps_and_entropies", "correct")
        self.time(trainer, "_compute_loss", "forward", self._lost)
        self.time(trainer.accelerator, "backward", "update")
        self.time(trainer.accelerator, "clip_grad_norm_", "update", lambda found: self._note("gradient", float(found)))
        if getattr(trainer, "rollouts", None):
            self.time(trainer.rollouts, "sync", "sync")
        watch = self

        class Ends(TrainerCallback):  # type: ignore[misc]
            def on_train_begin(self, *_: Any, optimizer: Any, **__: Any) -> None:
                watch.time(optimizer, "step", "update")
                watch.start = watch._last = watch.now()
                watch._clear()

            def on_step_end(self, *_: Any, **__: Any) -> None:
                watch._charge()
                watch.steps.append({**watch._noted, "seconds": dict(watch._seconds)})
                watch._clear()

        trainer.add_callback(Ends())

    def report(self, trainer: Any) -> dict[str, Any]:
        """Return what was seen, and the largest memory: of the GPU if there is one, else that of the process."""
        import torch

        # Linux counts in units of 1024 bytes.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        drift = [line[key] for line in trainer.state.log_history for key in line if key.endswith("difference/mean")]
        furthest = [line[key] for line in trainer.state.log_history for key in line if key.endswith("difference/max")]
        return {
            "weights": trainer.model.num_parameters(),
            "start": self.start,
            "steps": self.steps,
            "peak": torch.cuda.max_memory_allocated() if self.gpu else peak,
            "device": torch.cuda.get_device_name() if self.gpu else "CPU",
            "drift": [max(drift), max(furthest)] if drift else None,
        }

    def _charge(self) -> None:
        now = self.now()
        self._seconds[self._open[-1]] += now - self._last
        self._last = now

    def _clear(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._noted: dict[str, Any] = {"loss": 0.0}

    def _note(self, name: str, value: Any) -> None:
        self._noted[name] = value

    def _lost(self, loss: Any) -> None:
        # Of a step's batches, each divided by what all of them have.
        self._noted["loss"] += loss.item()

    def _sampled(self, found: Any) -> None:
        self._noted |= {"prompts": found[0], "completions": found[1], "logprobs": found[4]}


def plain(setting: Setting, replayed: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Train with `trl.GRPOTrainer`; with `replayed` it gets the completions of these steps in place of its own."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import GRPOConfig, GRPOTrainer

    from reassess.train import data

    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    directory = f"results/models/{MODEL}/model"
    dataset = rows(setting, directory)
    processor = AutoProcessor.from_pretrained(directory)
    model = AutoModelForImageTextToText.from_pretrained(directory, dtype=torch.float32)
    # Options of sampling that a checkpoint recommends are not those of the study.
    for name, neutral in {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0}.items():
        setattr(model.generation_config, name, neutral)
    chosen = options(setting)
    config = GRPOConfig(
        **chosen,
        **({} if setting.gpu else {"gradient_checkpointing": False, "dataloader_pin_memory": False}),
        output_dir="plain",
        seed=SEED,
        data_seed=SEED,
        gradient_accumulation_steps=setting.batch // chosen["per_device_train_batch_size"],
        generation_kwargs={"suppress_tokens": data.placeholders(model.config)},
        reward_weights=list(WEIGHTS.values()),
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not setting.gpu,
        bf16=setting.gpu,
    )

    def again(_: Any, trainer: Any) -> dict[str, Any]:
        step = (replayed or [])[trainer.state.global_step]
        return {"prompt_ids": step["prompts"], "completion_ids": step["completions"], "logprobs": step["logprobs"]}

    trainer = GRPOTrainer(
        model=model,
        args=config,
        reward_funcs=[accuracy, form],
        train_dataset=dataset,
        processing_class=processor,
        rollout_func=again if replayed else None,
    )
    watch = Watch(setting.gpu)
    watch.attach(trainer)
    trainer.train()
    return watch.report(trainer)


def rows(setting: Setting, directory: str) -> Any:
    """Return the training rows as TRL's documentation has them: a chat, encoded images, and what rewards read."""
    from datasets import Dataset, Features, Image, Sequence, Value

    from reassess.data.shards import Shards
    from reassess.models.reader import Reader

    graph, subset = read(setting, "transformers")
    reader = Reader.of(directory, graph.study.models[MODEL], graph.study.prompt)
    features = {"gold": Value("string"), "kind": Value("string"), "options": Sequence(Value("string"))}
    chat = [{"role": Value("string"), "content": Value("string")}]
    found = []
    for example in Shards(Path("results/pools/toy"), subset["ids"]):
        files = []
        for picture in reader.pictures(example):
            picture.save(file := io.BytesIO(), "PNG")
            files.append({"bytes": file.getvalue(), "path": None})
        (message,) = reader.messages(example)
        text = "".join(part["text"] for part in message["content"] if part["type"] == "text")
        columns = {"gold": example.gold, "kind": example.kind, "options": list(example.options)}
        found.append({"prompt": [{"role": "user", "content": text}], "images": files, **columns})
    return Dataset.from_list(found, features=Features({"prompt": chat, "images": Sequence(Image()), **features}))


def accuracy(completions: list[Any], gold: list[str], kind: list[str], options: list[list[str]], **_: Any) -> Any:
    from reassess.judge import judge

    asked = zip(completions, gold, kind, options, strict=True)
    verdicts = [judge(said[0]["content"], right, of, choices or None).correct for said, right, of, choices in asked]
    return [None if verdict is None else float(verdict) for verdict in verdicts]


def form(completions: list[Any], **_: Any) -> list[float]:
    from reassess.judge import follows_format

    return [float(follows_format(said[0]["content"], "think_answer")) for said in completions]


def read(setting: Setting, engine: str) -> Any:
    """Return the study and the subset that its run with an engine reads."""
    from reassess import graph
    from reassess.work import records

    parsed = graph.load("study.json")
    (need,) = parsed.needed(parsed["train", key(setting, engine)], "subset")
    return parsed, records.read(need.record, ids=list)


def key(setting: Setting, engine: str) -> str:
    return f"{MODEL}/toy/seed{SEED}/{engine}@{setting.rows}"


def ours(setting: Setting) -> dict[str, Any]:
    """Train the study's run with an engine, without writing its model."""
    from transformers.trainer_utils import SaveStrategy

    from reassess.train import checkpoints, grpo, loop, reinforced
    from reassess.train.frame import _check
    from reassess.train.grpo_trainer import GRPOConfig
    from reassess.work import turns

    graph, _ = read(setting, setting.arm)
    job = graph["train", key(setting, setting.arm)]
    with turns.take(job.rule, job.key) as turn:
        task = _check(graph, job, turn)
        started = reinforced.start(task, checkpoints.Clock(), GRPOConfig)
        trainer = grpo.build(started)
        # After the last step, where nothing is measured: it would fill the disk.
        trainer.args.save_strategy = SaveStrategy.NO
        watch = Watch(setting.gpu)
        watch.attach(trainer)
        loop.finish(started, trainer)
    return {**watch.report(trainer), "bound": trainer.limit}


def build_shape(folder: Path) -> None:
    """Write a model of the shapes of Qwen2.5-VL-3B with random weights in bfloat16, and a small tokenizer."""
    import torch
    import transformers
    from merge import TEXT, VISION

    from families import parts, qwen, tokenizers

    torch.manual_seed(0)
    tokenizer = tokenizers.qwen()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**TEXT, **TEXT_3B, **ends, "pad_token_id": tokenizer.pad_token_id, "tie_word_embeddings": True}
    config = transformers.Qwen2_5_VLConfig(
        text_config=text,
        vision_config={**VISION, "out_hidden_size": text["hidden_size"]},
        tie_word_embeddings=True,
        **qwen._ids(tokenizer),
    )
    model = transformers.AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    template = parts.template("qwen2_5_vl")
    video = transformers.Qwen2VLVideoProcessor()
    images = qwen._image_processor()
    transformers.Qwen2_5_VLProcessor(images, tokenizer, video, chat_template=template).save_pretrained(folder)


def main() -> None:
    setting = Setting(**json.loads(sys.argv[1]))
    folder = Path(setting.folder)
    if setting.arm == "shape":
        sys.path.insert(0, str(ROOT / "tests"))
        build_shape(folder / "shape")
        return
    # The large parts of `results/` are read alone, and each arm writes into one of its own.
    work = folder / Path(setting.out).stem
    (work / "results").mkdir(parents=True)
    for name in ("models", "pools", "subsets"):
        (work / "results" / name).symlink_to(folder / "results" / name)
    shutil.copyfile(folder / "study.json", work / "study.json")
    os.chdir(work)
    import torch

    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if setting.arm == "trl":
        found = plain(setting, json.loads(Path(setting.replay).read_text())["steps"] if setting.replay else None)
    else:
        found = ours(setting)
    Path(setting.out).write_text(json.dumps(found))
    os.chdir(folder)
    shutil.rmtree(work)
    sys.stdout.flush()
    # Collecting an engine's garbage takes seconds.
    os._exit(0)


if __name__ == "__main__":
    main()
