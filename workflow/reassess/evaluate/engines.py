"""Generation engines: what they take and give, and which one a job uses.

Two engines stand behind one protocol, and in float32 they give the same greedy answers: both take the rendered text
without adding special tokens, both stop at the same tokens, both are kept from writing image placeholders, and one
function turns the tokens of both into text.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from reassess.data.example import Example
from reassess.evaluate.store import Response
from reassess.study import Decoding, Model, Study

# Arguments of vllm.LLM that the study sets elsewhere, and where.
REFUSED_ENGINE_ARGS = {
    "model": "the cell is the model",
    "dtype": "set models.<name>.dtype",
    "trust_remote_code": "set models.<name>.trust_remote_code",
}


class EngineError(ValueError):
    """An engine that cannot be used: the message says why and what to set."""


class Request(NamedTuple):
    """One response to generate.

    Attributes:
        key: the key of the response in the store.
        prompt: the rendered prompt with a forced prefix, image tokens not expanded.
        example: where the image comes from; it is decoded when its turn comes.
        length: prompt tokens without the prefix, for batches of like length.
        seed: seed of this response alone, None when greedy.
    """

    key: str
    prompt: str
    example: Example
    length: int
    seed: int | None


class Engine(Protocol):
    """A started engine with a loaded checkpoint."""

    def load(self, directory: str) -> None:
        """Change to another checkpoint of the same model."""

    def answer(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[dict[str, Response]]:
        """Yield responses by key, in batches, as they are finished; a request that fails has its own response."""


class Setting(NamedTuple):
    """What an engine is started with."""

    model: Model
    processor: Any
    max_model_len: int
    seed: int
    gpus: int
    batch_size: int
    engine_args: dict[str, Any]


class EngineInfo(NamedTuple):
    """The engine as the records name it."""

    name: str
    version: str
    dtype: str
    device: str


def choose(study: Study, model: str, gpus: int) -> EngineInfo:
    """Return the engine that the study asks for on this machine; says in one line what `auto` took and why.

    Raises:
        EngineError: the engine is not installed or cannot run here, or an engine argument is not to be set there.
    """
    for argument in study.evaluation.engine_args:
        if argument in REFUSED_ENGINE_ARGS:
            raise EngineError(f"evaluation.engine_args.{argument}: {REFUSED_ENGINE_ARGS[argument]}")
    name = study.evaluation.engine
    reason = "" if name == "transformers" else why_not_vllm(gpus)
    if name == "auto":
        name = "transformers" if reason else "vllm"
        print(f"engine: {name} ({reason or 'vllm runs here'})", flush=True)
    elif name == "vllm" and reason:
        raise EngineError(f"evaluation.engine: vllm cannot run here: {reason}; set `transformers` or `auto`")
    if name == "transformers" and study.evaluation.engine_args:
        print("evaluation.engine_args are vLLM's and do not count with transformers", flush=True)
    version = _vllm_version() if name == "vllm" else importlib.metadata.version("transformers")
    return EngineInfo(name, version, study.models[model].dtype, _device(name, gpus))


def start(info: EngineInfo, directory: str, setting: Setting) -> Engine:
    """Start an engine on a checkpoint directory; takes seconds to minutes."""
    if info.name == "vllm":
        from reassess.evaluate.vllm_engine import VllmEngine

        return VllmEngine(directory, setting)
    from reassess.evaluate.transformers_engine import TransformersEngine

    return TransformersEngine(directory, setting)


def why_not_vllm(gpus: int) -> str:
    """Return why vLLM cannot run here, empty where it can. Imports vLLM where it is installed."""
    if importlib.util.find_spec("vllm") is None:
        return "vllm is not installed"
    set_vllm_environment(gpus)
    try:
        import vllm  # noqa: F401
        from vllm.platforms import current_platform
    # A build for another machine fails in many ways: missing CUDA libraries, another torch, an unknown device.
    except Exception as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        return f"vllm does not import: {first_line}"
    if gpus and not current_platform.is_cuda_alike():
        return f"this vllm has no GPU to run on, and the job has {gpus}"
    if not gpus and not current_platform.is_cpu():
        return "this vllm is not a CPU build, and the job has no GPU (models.<name>.resources.generate.gpu)"
    return ""


def set_vllm_environment(gpus: int) -> None:
    """Set what vLLM reads at import; what the user has set stays."""
    # The CPU build warns at every image that its threads are bound already.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING" if gpus else "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    if not gpus:
        # A process of its own for the engine core takes 11 to 25 s to start, in-process takes 3 s.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        # GiB. Without it vLLM wants 92% of the machine's memory to be free.
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")


def stop_ids(directory: str, tokenizer: Any, trust_remote_code: bool) -> list[int]:
    """Return the tokens that end a response: the tokenizer's end token and those of the generation config."""
    from transformers import AutoConfig, GenerationConfig

    if (Path(directory) / "generation_config.json").exists():
        found = GenerationConfig.from_pretrained(directory).eos_token_id
    else:
        found = GenerationConfig.from_model_config(
            AutoConfig.from_pretrained(directory, trust_remote_code=trust_remote_code)
        ).eos_token_id
    ids = {tokenizer.eos_token_id, *(found if isinstance(found, list) else [found])}
    return sorted(id_ for id_ in ids if id_ is not None)


def banned_tokens(processor: Any) -> list[str]:
    """Return the image and video placeholders: in a response they would stand for features that do not exist."""
    tokens = [getattr(processor, name, None) for name in ("image_token", "video_token")]
    known = processor.tokenizer.get_vocab()
    return [str(token) for token in tokens if token is not None and str(token) in known]


def text(ids: Sequence[int], stops: Sequence[int], tokenizer: Any) -> str:
    """Return generated tokens as text without the end token and special tokens; tags that are plain tokens stay."""
    kept = ids[:-1] if ids and ids[-1] in stops else ids
    decoded: str = tokenizer.decode(list(kept), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return decoded


def failed(message: str) -> Response:
    """Return the response of a request that failed."""
    return Response("", "error", 0, 0, message)


def _vllm_version() -> str:
    """The CPU build on the package registry is a distribution called vllm-cpu."""
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    raise EngineError("vllm is importable but not an installed distribution, so its version is not known")


def _device(name: str, gpus: int) -> str:
    """Return `cpu`, or the name of the GPUs."""
    if not gpus:
        return "cpu"
    import torch

    if torch.cuda.device_count() < gpus:
        raise EngineError(
            f"the job has {gpus} GPUs (models.<name>.resources.generate.gpu), torch sees {torch.cuda.device_count()}"
        )
    if name == "vllm":
        from vllm.platforms import current_platform

        # Torch would set up CUDA in this process, and vLLM's own process wants that memory.
        device = str(current_platform.get_device_name())
    else:
        device = torch.cuda.get_device_name()
    return f"{gpus} x {device}" if gpus > 1 else device
