"""Generation engines: one file each; `reassess.study.suites.ENGINES` is the table of them.

An engine's module has `why_not(gpus)` (why it cannot run here, empty where it can), `version()`, `device(gpus)` (the
name of a GPU) and `start(directory, setting)`.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from reassess.engines.base import Engine, EngineError, EngineInfo, Setting
from reassess.stages import engine_args
from reassess.study.study import Study
from reassess.study.suites import ENGINES


def choose(study: Study, model: str, gpus: int) -> EngineInfo:
    """Return the engine that the study asks for on this machine; says in one line what `auto` took and why.

    Raises:
        EngineError: the engine is not installed or cannot run here, or an engine argument is not to be set there.
    """
    if problem := engine_args.problem(study.evaluation.engine_args):
        raise EngineError(f"evaluation.{problem}")
    name: str = study.evaluation.engine
    if name == "auto":
        reasons: list[str] = []
        for name in ENGINES:
            reason = _module(name).why_not(gpus)
            if not reason:
                break
            reasons.append(reason)
        print(f"engine: {name} ({'; '.join(reasons) or f'{name} runs here'})", flush=True)
    elif reason := _module(name).why_not(gpus):
        raise EngineError(f"evaluation.engine: {name} cannot run here: {reason}; set another or `auto`")
    if name != "vllm" and study.evaluation.engine_args:
        print(f"evaluation.engine_args are vLLM's and do not count with {name}", flush=True)
    asked = study.speakers[model]
    # vLLM chooses its own.
    attention = asked.attn_implementation if name == "transformers" else None
    args = engine_args.counting(study.evaluation.engine_args) if name == "vllm" else None
    return EngineInfo(name, version(name), asked.dtype, _device(name, gpus), attention, args)


def start(info: EngineInfo, directory: str, setting: Setting) -> Engine:
    """Start an engine on a checkpoint directory; takes seconds to minutes."""
    engine: Engine = _module(info.name).start(directory, setting)
    return engine


def version(name: str) -> str:
    """Return the installed version of an engine."""
    found: str = _module(name).version()
    return found


def _module(name: str) -> ModuleType:
    return importlib.import_module(ENGINES[name])


def _device(name: str, gpus: int) -> str:
    """Return `cpu`, or the name of the GPUs."""
    if not gpus:
        return "cpu"
    import torch

    if torch.cuda.device_count() < gpus:
        raise EngineError(
            f"the job has {gpus} GPUs (models.<name>.resources.generate.gpu), torch sees {torch.cuda.device_count()}"
        )
    device: str = _module(name).device()
    return f"{gpus} x {device}" if gpus > 1 else device
