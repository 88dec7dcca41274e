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
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from reassess.decoding import Decoding
from reassess.engines import transformers as transformers_engine
from reassess.engines import vllm as vllm_engine
from reassess.engines.base import EngineError, Origin, Request, Response, Setting
from reassess.models.load import load_model
from reassess.models.reader import Reader, Reading
from reassess.prompts import Prompt
from reassess.study.models import Model

from . import FAMILIES, build, rows

Found = dict[str, dict[str, Any]]
GREEDY = Decoding(max_tokens=24)
FIXED_TOKENS = 32
PROMPT = Prompt(instruction="Think, then answer.")


def compare(name: str, checkpoint: Path, engine_args: dict[str, Any], dtype: Literal["float32", "bfloat16"]) -> Found:
    """Return by row what the engines said, and the largest difference of the log-probabilities of the fixed text.

    Beside it stands how far those of transformers are from what it says in float64.
    """
    model = Model(path=str(checkpoint), dtype=dtype, min_pixels=3136, max_pixels=50176, max_prompt_length=900)
    reader = Reader.of(checkpoint, model, PROMPT)
    asked = rows.text("t", 6)
    if FAMILIES[name].modality == "visual":
        several = rows.several("s")
        if not reader.keeps_places:
            several = [replace(item, question=item.question.replace("<image>", "it")) for item in several]
        asked += [*rows.visual("v", 2 * len(rows.pictures())), *several]
    readings = {item.id: reader.read(item) for item in asked}
    requests = [
        Request(item.id, Origin(asked, i, False, readings[item.id].length, bool(item.images)), None)
        for i, item in enumerate(asked)
    ]
    setting = Setting(reader, 1000, 0, 0, 8, engine_args)
    if reason := vllm_engine.why_not(0):
        raise EngineError(reason)
    vllm = vllm_engine.start(str(checkpoint), setting)
    theirs = _answers(vllm, requests)
    ours = _answers(transformers_engine.start(str(checkpoint), setting), requests)
    fixed = _fixed(reader)
    expected = _vllm_logprobs(vllm, readings, fixed)
    loaded = load_model(checkpoint, model).eval()
    found = _transformers_logprobs(loaded, reader, readings, fixed)
    exact = _transformers_logprobs(loaded.double(), reader, readings, fixed)
    return {
        key: {
            "vllm": theirs[key]._asdict(),
            "transformers": ours[key]._asdict(),
            "difference": float((expected[key] - found[key]).abs().max()),
            "rounding": float((exact[key] - found[key]).abs().max()),
        }
        for key in readings
    }


def _answers(engine: Any, requests: Sequence[Request]) -> dict[str, Response]:
    return {key: row for batch in engine.answer(requests, GREEDY) for key, row in batch.items()}


def _fixed(reader: Reader) -> str:
    """Return a text of `FIXED_TOKENS` tokens that is written after the prompt."""
    words = " a = 3 and so the answer is one of the two that are given here; now let us see which of them it may be"
    ids = reader.tokenizer(words, add_special_tokens=False)["input_ids"][:FIXED_TOKENS]
    assert len(ids) == FIXED_TOKENS
    return str(reader.tokenizer.decode(ids))


def _vllm_logprobs(engine: Any, readings: dict[str, Reading], fixed: str) -> dict[str, torch.Tensor]:
    from vllm import SamplingParams

    params = SamplingParams(max_tokens=1, temperature=0, prompt_logprobs=0)
    found = {}
    for key, reading in readings.items():
        prompt: dict[str, Any] = {"prompt": reading.text + fixed}
        if reading.pictures:
            prompt["multi_modal_data"] = {"image": reading.pictures}
        (out,) = engine._llm.generate(prompt, params, use_tqdm=False, tokenization_kwargs={"add_special_tokens": False})
        ids, logprobs = out.prompt_token_ids, out.prompt_logprobs
        last = range(len(ids) - FIXED_TOKENS, len(ids))
        found[key] = torch.tensor([logprobs[i][ids[i]].logprob for i in last])
    return found


@torch.inference_mode()
def _transformers_logprobs(
    loaded: Any, reader: Reader, readings: dict[str, Reading], fixed: str
) -> dict[str, torch.Tensor]:
    found = {}
    for key, reading in readings.items():
        inputs = reader.encode([reading.text + fixed], [reading.pictures], return_tensors="pt")
        ids = inputs["input_ids"][0, -FIXED_TOKENS:]
        logits = loaded(**inputs.to(loaded.dtype)).logits[0, -FIXED_TOKENS - 1 : -1].double()
        found[key] = logits.log_softmax(-1).gather(1, ids[:, None])[:, 0]
    return found


def main() -> None:
    """Compare one family and print the result, or write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("--checkpoint", type=Path, help="the family's checkpoint, where it is built already")
    parser.add_argument("--engine-args", type=json.loads, default={}, help="JSON: arguments of vllm.LLM")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--out", type=Path, help="write JSON here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = args.checkpoint or build(args.family, Path(folder) / "model")
        try:
            found = compare(args.family, checkpoint, args.engine_args, args.dtype)
        except EngineError as error:
            sys.exit(str(error))
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
