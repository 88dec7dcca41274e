"""Samples completions of one family as a stage of RL does, and compares them with transformers on the same weights.

`python -m tests.families.sampled qwen3-vl` prints what is equal: as loaded, after the weights have changed, with an
adapter, and where one of the engine's caches is kept by mistake. vLLM changes its process, so that tests run this in
one of its own.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import yaml
from peft import LoraConfig, get_peft_model

from reassess.cli import main as reassess
from reassess.engines import vllm
from reassess.engines.base import Question, sample_seed
from reassess.graph import load
from reassess.train import checkpoints, loop
from reassess.train.frame import _check
from reassess.train.grpo_trainer import GRPOConfig
from reassess.train.plan import TrainError
from reassess.train.rollouts import Rollouts, Sampled
from reassess.work import turns

from . import FAMILIES, build, rows
from .cells import study

TOKENS = 16
# Standard deviations of each weight by which it changes: as far as a long training goes.
NOISE = 0.05


class Bench:
    """One family's engine, and its model in transformers, in the current directory.

    Args:
        name: the family.
        checkpoint: its directory.
    """

    def __init__(self, name: str, checkpoint: Path) -> None:
        self.examples = rows.rows_of_all_kinds(name)
        rows.write("data/pool", self.examples)
        rows.write("data/text", rows.text("t", 4))
        rows.write("data/pictures", rows.visual("b", 4))
        raw = study([name], "transformers")
        raw["models"][name]["path"] = str(checkpoint)
        raw["models"][name] |= {"max_prompt_length": 900, "dtype": "float32"}
        raw["pools"]["pool"]["modality"] = "text" if FAMILIES[name].modality == "text" else "mixed"
        raw["sizes"] = [len(self.examples)]
        raw["stages"]["grpo"] |= {"rollouts": {"engine": "vllm"}}
        raw["stages"]["grpo"]["args"] |= {"max_completion_length": TOKENS}
        raw["recipes"] = {"grpo": ["grpo"]}
        Path("study.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
        graph = load("study.yaml")
        for job in [job for job in graph.jobs.values() if job.rule in ("model", "pool", "subset")]:
            assert reassess([job.rule, job.key, "--study", "study.yaml"]) == 0
        job = graph["train", f"{name}/pool/seed1/grpo@{len(self.examples)}"]
        with turns.take(job.rule, job.key) as turn:
            started = loop.start(_check(graph, job, turn), checkpoints.Clock(), GRPOConfig)
        self.model, self.reader = started.model.eval(), started.rows.reader
        self.model.generation_config = self.reader.generation_config
        self.rollouts = Rollouts(started)
        self.rollouts.check_prompts(started.rows)
        self.banned = list(self.rollouts._sampling["logit_bias"] or ())
        self.questions = [Question(self.reader.render(item), self.reader.pictures(item)) for item in self.examples]

    def sample(self, order: Sequence[int], **options: Any) -> Sampled:
        """Return a completion to each question in some order; seeds go with the questions."""
        seeds = [sample_seed(7, {}, i) for i in order]
        return self.rollouts.sample([self.questions[i] for i in order], seeds, **options)

    def compared(self, model: Any) -> dict[str, Any]:
        """Return how many greedy completions are those of a model, and how far log-probabilities of others are."""
        order = range(len(self.questions))
        greedy, drawn = self.sample(order, temperature=0.0), self.sample(order)
        same = [self._greedy(model, item) == ids for item, ids in zip(self.questions, greedy.ids, strict=True)]
        apart = [
            (self._logprobs(model, item, ids) - torch.tensor(logprobs)).abs().max().item()
            for item, ids, logprobs in zip(self.questions, drawn.ids, drawn.logprobs, strict=True)
        ]
        return {
            "asked": len(same),
            "greedy": sum(same),
            "difference": max(apart),
            "different": len({*map(str, drawn.ids)}),
        }

    def reversed(self) -> bool:
        """Return whether completions are the same in another order, and alone."""
        order = list(range(len(self.questions)))
        forth, back = self.sample(order), self.sample(order[::-1])
        alone = self.sample(order[2:3])
        return forth.ids == back.ids[::-1] and alone.ids[0] == forth.ids[2]

    def _inputs(self, item: Question) -> Any:
        return self.reader.encode([item.prompt], [item.pictures], return_tensors="pt")

    @torch.inference_mode()
    def _greedy(self, model: Any, item: Question) -> list[int]:
        inputs = self._inputs(item)
        options = {"suppress_tokens": self.banned} if self.banned else {}
        found = model.generate(**inputs, do_sample=False, max_new_tokens=TOKENS, **options)
        return list(found[0, inputs["input_ids"].shape[1] :].tolist())

    @torch.inference_mode()
    def _logprobs(self, model: Any, item: Question, ids: list[int]) -> torch.Tensor:
        inputs, said = self._inputs(item), torch.tensor([ids])
        for name in ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"):
            if name in inputs:
                more = said if name == "input_ids" else torch.full_like(said, int(name == "attention_mask"))
                inputs[name] = torch.cat([inputs[name], more], 1)
        logits = model(**inputs).logits[0, -len(ids) - 1 : -1].float()
        return logits.log_softmax(-1).gather(1, said[0, :, None])[:, 0]


def changed(model: Any, seed: int) -> None:
    """Change every weight a little."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            spread = weight.std().nan_to_num(0)
            weight.add_(torch.randn(weight.shape, generator=generator) * spread * NOISE)


@contextmanager
def kept(llm: Any, method: str) -> Iterator[None]:
    """Have an engine keep a cache that a method of it, and of its worker, empties."""
    owners = [llm.llm_engine, *llm.collective_rpc(lambda worker: getattr(worker, "worker", worker).model_runner)]
    owners = [owner for owner in owners if hasattr(owner, method)]
    for owner in owners:
        setattr(owner, method, lambda *_: None)
    try:
        yield
    finally:
        for owner in owners:
            delattr(owner, method)


def compare(name: str, checkpoint: Path) -> dict[str, Any]:
    """Return what is equal, by what was done before."""
    bench = Bench(name, checkpoint)
    model, found = bench.model, {"loaded": bench.compared(bench.model), "order": bench.reversed()}
    changed(model, 1)
    found["stale"] = bench.compared(model)
    bench.rollouts.sync(model)
    found["synced"] = bench.compared(model)
    # As evaluation changes to the next checkpoint of a trajectory.
    changed(model, 4)
    model.save_pretrained("other")
    bench.reader.processor.save_pretrained("other")
    vllm.reload(bench.rollouts._llm, weights_path="other")
    found["reloaded"] = bench.compared(model)
    adapted = get_peft_model(copy.deepcopy(model), LoraConfig(target_modules="all-linear", init_lora_weights=False))
    before = {key: weight.clone() for key, weight in adapted.state_dict().items()}
    bench.rollouts.sync(adapted)
    found["adapter"] = bench.compared(adapted)
    found["untouched"] = all(torch.equal(weight, before[key]) for key, weight in adapted.state_dict().items())
    caches = {"prefix": "reset_prefix_cache"}
    if FAMILIES[name].modality == "visual":
        caches["images"] = "reset_encoder_cache"
    for seed, (cache, method) in enumerate(caches.items(), 2):
        # Fills all caches.
        bench.rollouts.sync(model)
        bench.sample(range(len(bench.questions)))
        changed(model, seed)
        with kept(bench.rollouts._llm, method):
            bench.rollouts.sync(model)
        found[f"{cache} kept"] = bench.compared(model)
    return found


def main() -> None:
    """Compare one family and print the result, or write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("--checkpoint", type=Path, help="the family's checkpoint, where it is built already")
    parser.add_argument("--out", type=Path, help="write JSON here")
    args = parser.parse_args()
    out = args.out.absolute() if args.out else None
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = (args.checkpoint or build(args.family, Path(folder) / "model")).absolute()
        os.chdir(folder)
        try:
            found = compare(args.family, checkpoint)
        except TrainError as error:
            sys.exit(str(error))
    if out:
        out.write_text(json.dumps(found))
    for key, row in found.items():
        print(f"{key}: {row}")
    sys.stdout.flush()
    # As the command does: collecting an engine's garbage takes seconds.
    os._exit(0)


if __name__ == "__main__":
    main()
