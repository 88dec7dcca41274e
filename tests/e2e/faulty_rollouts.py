"""Trains a run several times, each time with another fault in its rollouts, and writes what it says into `said.json`.

Arguments: the run, and the faults. vLLM changes its process, so that a test runs this in one of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from reassess import graph
from reassess.engines import vllm
from reassess.train.frame import TrainError, train
from reassess.train.rollouts import Rollouts


def weights() -> Any:
    """Have the engine keep the weights with which it started."""
    return mock.patch.object(Rollouts, "sync")


def features() -> Any:
    """Have it keep the features of images, as TRL 1.16 does."""

    def reload(llm: Any, **weights: Any) -> None:
        (runner,) = llm.collective_rpc(lambda worker: getattr(worker, "worker", worker).model_runner)
        with mock.patch.object(runner, "reset_encoder_cache"):
            llm.collective_rpc("reload_weights", kwargs=weights)
        llm.apply_model(vllm._pack_output_layer)
        llm.llm_engine.reset_prefix_cache()

    return mock.patch.object(vllm, "reload", reload)


def changed(change: Callable[[list[Any]], list[Any]]) -> Any:
    """Have the engine read other prompts than it is given, once the run has begun."""
    from vllm import LLM

    generate = LLM.generate

    def other(self: Any, prompts: list[Any], params: list[Any], **options: Any) -> Any:
        # The first prompts are asked greedily, and looked at token by token.
        return generate(self, change(prompts) if params[0].temperature else prompts, params, **options)

    return mock.patch.object(LLM, "generate", other)


def pictures() -> Any:
    """Have every prompt show the picture of another."""
    shown = "multi_modal_data"
    return changed(
        lambda asked: [{**item, shown: other[shown]} for item, other in zip(asked, asked[5:] + asked[:5], strict=True)]
    )


def tokens() -> Any:
    """Have every prompt say something twice."""
    return changed(lambda asked: [{**item, "prompt": item["prompt"] + item["prompt"][-20:]} for item in asked])


FAULTS = {"weights": weights, "features": features, "pictures": pictures, "tokens": tokens}


def main() -> None:
    """Train with each fault, in a directory of its own."""
    key, *names = sys.argv[1:]
    study = graph.load("study.json")
    said = {}
    here = Path.cwd()
    for name in names:
        folder = here / name
        shutil.copytree(here / "results", folder / "results")
        os.chdir(folder)
        try:
            with FAULTS[name]():
                train(study, study["train", key])
        except TrainError as error:
            said[name] = str(error)
        os.chdir(here)
    (here / "said.json").write_text(json.dumps(said))
    sys.stdout.flush()
    # Collecting an engine's garbage takes seconds.
    os._exit(0)


if __name__ == "__main__":
    main()
