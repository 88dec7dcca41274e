"""How much memory and time a merge takes at the real shapes of Qwen2.5-VL-7B, with random weights.

    python perf/merge.py --directory /scratch --methods ties

Builds two parents and a base in bfloat16, merges them by each method in a process of its own, and prints its peak of
resident memory, which includes what it maps of files at one time. At full size (8.3e9 weights) 55 GB of disk are
needed: the base shares a part of its files with the second parent, and each merged model is removed before the next.
`--layers` takes fewer layers of the language model, and then everything is different.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText, Qwen2_5_VLConfig

from reassess.models import arithmetic
from reassess.study.models import Model

# Of 28 layers; the rest is the config of Qwen/Qwen2.5-VL-7B-Instruct, from memory but for the shapes, which give the
# 8.29e9 weights that its index on the hub states.
TEXT = {
    **{"vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28},
    **{"num_key_value_heads": 4, "max_position_embeddings": 128000},
    "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
}
VISION = {
    **{"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584},
    **{"patch_size": 14, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31]},
}
SHARD = 2_000_000_000
# Share of the base's bytes that are the second parent's own files.
SHARED = 0.7


def shapes(layers: int) -> tuple[Qwen2_5_VLConfig, dict[str, torch.Tensor]]:
    """Return config and tensors without values."""
    config = Qwen2_5_VLConfig(
        text_config={**TEXT, "num_hidden_layers": layers}, vision_config=VISION, tie_word_embeddings=False
    )
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    return config, dict(model.state_dict())


def build(directory: Path, seed: int, config: Qwen2_5_VLConfig, tensors: dict[str, Any], shared: Path | None) -> None:
    """Write a random checkpoint shard by shard; the first of its shards are links to those of `shared`."""
    directory.mkdir()
    config.save_pretrained(directory)
    split = split_torch_state_dict_into_shards(
        tensors, filename_pattern="model{suffix}.safetensors", max_shard_size=SHARD
    )
    # One pool of random values, from which every tensor takes a stretch: drawing 8e9 would take longer than merging.
    largest = max(tensor.numel() for tensor in tensors.values())
    block = torch.empty(1 << 25, dtype=torch.bfloat16).normal_(std=0.02, generator=torch.Generator().manual_seed(seed))
    pool = block.repeat(largest // len(block) + 2)
    linked = 0
    for file, names in split.filename_to_tensors.items():
        if shared is not None and linked < SHARED * split.metadata["total_size"]:
            os.link(shared / file, directory / file)
            linked += (shared / file).stat().st_size
            continue
        shard = {}
        for i, name in enumerate(names):
            start = 7919 * i % len(block)
            shard[name] = pool[start : start + tensors[name].numel()].view(tensors[name].shape).clone()
        save_file(shard, directory / file, metadata={"format": "pt"})
    index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
    if split.is_sharded:
        (directory / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def build_all(root: Path, layers: int, queue: Any) -> None:
    """Build parents and base, and put a line about them into the queue."""
    start = time.monotonic()
    config, tensors = shapes(layers)
    for seed, (name, shared) in enumerate({"first": None, "second": None, "base": root / "second"}.items()):
        build(root / name, seed, config, tensors, shared)
    total = sum(tensor.numel() for tensor in tensors.values())
    seconds = time.monotonic() - start
    queue.put(f"{total:.3g} weights in {len(tensors)} tensors, built in {seconds:.0f} s; {os.cpu_count()} cores")


def merge(root: Path, method: Any, queue: Any) -> None:
    """Merge, and put seconds and peak (bytes) into the queue."""
    model = Model(path=str(root / "first"), dtype="bfloat16")
    start = time.monotonic()
    arithmetic.merge(
        [root / "first", root / "second"],
        root / "merged",
        model,
        arithmetic.How(method, [0.5, 0.5], density=0.3),
        base=None if method == "linear" else root / "base",
    )
    # Linux counts in units of 1024 bytes.
    queue.put((time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=["linear", "ties", "dare"], default=["linear", "ties", "dare"])
    parser.add_argument("--layers", type=int, default=28, help="layers of the language model (default: 28, all)")
    parser.add_argument("--directory", type=Path, help="where to make the temporary folder")
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="merge-", dir=args.directory))
    # Each in a process of its own, building too: a process begins with the peak of the one that started it.
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()

    def run(target: Any, *arguments: Any) -> Any:
        process = context.Process(target=target, args=(root, *arguments, queue))
        process.start()
        process.join()
        if process.exitcode != 0:
            raise SystemExit(f"{target.__name__}: ended with status {process.exitcode}")
        return queue.get()

    try:
        print(run(build_all, args.layers), flush=True)
        for method in args.methods:
            (root / "merged").mkdir()
            seconds, peak = run(merge, method)
            print(f"{method:8}{seconds:8.0f} s{peak / 1e9:8.1f} GB", flush=True)
            shutil.rmtree(root / "merged")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
