"""Asks vLLM and transformers the same of one family: greedy answers, and log-probabilities of a fixed text.

`python -m tests.families.compare qwen3-vl` builds the checkpoint and prints how they differ. vLLM changes its process,
so that tests run this in one of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from reassess.engines import transformers as transformers_engine
from reassess.engines import vllm as vllm_engine
from reassess.engines.base import Request, Response, Setting
from reassess.models.load import load_model, load_processor, picture, render
from reassess.prompts import Prompt
from reassess.study.models import Model
from reassess.study.suites import Decoding

from . import FAMILIES, build, rows

GREEDY = Decoding(max_tokens=24)
FIXED_TOKENS = 32
PROMPT = Prompt(instruction="Think, then answer.")


def compare(name: str, checkpoint: Path, engine_args: dict[str, Any], dtype: str = "float32") -> dict[str, Any]:
    """Return by row what the engines said, and the largest difference of the log-probabilities of the fixed text."""
    model = Model(path=str(checkpoint), dtype=dtype, min_pixels=3136, max_pixels=50176, max_prompt_length=600)
    processor = load_processor(checkpoint, model)
    asked = rows.text("t", 6) if FAMILIES[name].modality == "text" else rows.visual("v", 2 * len(rows.pictures()))
    setting = Setting(model, processor, 700, 0, 0, 8, engine_args)
    requests = [Request(item.id, render(item, PROMPT, processor), item, 0, None) for item in asked]
    if reason := vllm_engine.why_not(0):
        raise SystemExit(reason)
    vllm = vllm_engine.start(str(checkpoint), setting)
    theirs = _answers(vllm, requests)
    fixed = _fixed(processor)
    ours = _answers(transformers_engine.start(str(checkpoint), setting), requests)
    expected = _vllm_logprobs(vllm, requests, model, fixed)
    found = _transformers_logprobs(load_model(checkpoint, model).eval(), processor, requests, model, fixed)
    return {
        key: {
            "vllm": theirs[key]._asdict(),
            "transformers": ours[key]._asdict(),
            "difference": float((expected[key] - found[key]).abs().max()),
        }
        for key in theirs
    }


def _answers(engine: Any, requests: Sequence[Request]) -> dict[str, Response]:
    return {key: row for batch in engine.answer(requests, GREEDY) for key, row in batch.items()}


def _fixed(processor: Any) -> str:
    """Return a text of `FIXED_TOKENS` tokens that is written after the prompt."""
    tokenizer = getattr(processor, "tokenizer", processor)
    words = " a = 3 and so the answer is one of the two that are given here; now let us see which of them it may be"
    ids = tokenizer(words, add_special_tokens=False)["input_ids"][:FIXED_TOKENS]
    assert len(ids) == FIXED_TOKENS
    return str(tokenizer.decode(ids))


def _vllm_logprobs(engine: Any, requests: Sequence[Request], model: Model, fixed: str) -> dict[str, torch.Tensor]:
    from vllm import SamplingParams

    params = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
    found = {}
    for request in requests:
        prompt: dict[str, Any] = {"prompt": request.prompt + fixed}
        image = picture(request.example, model)
        if image is not None:
            prompt["multi_modal_data"] = {"image": image}
        (out,) = engine._llm.generate(prompt, params, use_tqdm=False, tokenization_kwargs={"add_special_tokens": False})
        ids, logprobs = out.prompt_token_ids, out.prompt_logprobs
        last = range(len(ids) - FIXED_TOKENS, len(ids))
        found[request.key] = torch.tensor([logprobs[i][ids[i]].logprob for i in last])
    return found


@torch.inference_mode()
def _transformers_logprobs(
    loaded: Any, processor: Any, requests: Sequence[Request], model: Model, fixed: str
) -> dict[str, torch.Tensor]:
    found = {}
    for request in requests:
        image = picture(request.example, model)
        inputs = processor(
            text=[request.prompt + fixed],
            add_special_tokens=False,
            return_tensors="pt",
            **({} if image is None else {"images": [[image]]}),
        )
        ids = inputs["input_ids"][0, -FIXED_TOKENS:]
        logits = loaded(**inputs.to(loaded.dtype)).logits[0, -FIXED_TOKENS - 1 : -1].float()
        found[request.key] = logits.log_softmax(-1).gather(1, ids[:, None])[:, 0]
    return found


def main() -> None:
    """Compare one family and print the result, or write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("--checkpoint", type=Path, help="the family's checkpoint, where it is built already")
    parser.add_argument("--engine-args", type=json.loads, default={}, help="JSON: arguments of vllm.LLM")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--out", type=Path, help="write JSON here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = args.checkpoint or build(args.family, Path(folder) / "model")
        found = compare(args.family, checkpoint, args.engine_args, args.dtype)
    if args.out:
        args.out.write_text(json.dumps(found))
    for key, row in found.items():
        same = "same" if row["vllm"] == row["transformers"] else f"{row['vllm']} {row['transformers']}"
        print(f"{key}: {row['difference']:.1e} {row['vllm']['prompt_tokens']} {row['vllm']['n_tokens']} {same}")
    sys.stdout.flush()
    # As the command does: collecting an engine's garbage takes seconds.
    os._exit(0)


if __name__ == "__main__":
    main()
