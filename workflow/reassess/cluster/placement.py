"""Which Slurm partition a job goes to, which type of GPU it asks for, and how many on each of its nodes.

Default resources of a profile are the same for all jobs, and the executor would ask for a type of GPU even for none.
Whether a job needs a GPU follows from the study, so the workflow works out the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def place_gpu_jobs(workflow: Any) -> None:
    """Give `gpu_partition` and `gpu_model` of the profile to jobs with a GPU, and to no others.

    A job of several nodes also says how many GPUs each of them has to give (`gres`): Slurm would spread four over two
    nodes as three and one.

    To be called before the first rule, which takes the default resources as they are then.

    Args:
        workflow: Snakemake's.
    """
    defaults = workflow.resource_settings.default_resources
    if defaults is None:
        return
    if "gpu_partition" in defaults:
        partitions = defaults["gpu_partition"], defaults.get("slurm_partition")
        defaults["slurm_partition"] = _by_gpu(workflow, *partitions)
        defaults["gpu_partition"] = None
    if "gres" not in defaults:
        defaults["gres"] = _on_each_node(workflow, defaults.get("gpu_model"))
    if "gpu_model" in defaults:
        defaults["gpu_model"] = _by_gpu(workflow, defaults["gpu_model"], None)


def _by_gpu(workflow: Any, with_gpu: Any, without: Any) -> Callable[..., Any]:
    """Return a resource that is one value for jobs with a GPU and another for jobs without; None is no resource."""

    def value(wildcards: Any, **rest: Any) -> Any:
        gpus = workflow.get_rule(rest["rulename"]).resources.get("gpu")
        return _evaluated(with_gpu if _evaluated(gpus, wildcards, rest) else without, wildcards, rest)

    return value


def _on_each_node(workflow: Any, model: Any) -> Callable[..., Any]:
    """Return a resource that is the GPUs of each node for jobs on several, and none for others."""

    def value(wildcards: Any, **rest: Any) -> Any:
        resources = workflow.get_rule(rest["rulename"]).resources
        nodes, gpus = (_evaluated(resources.get(name), wildcards, rest) for name in ("nodes", "gpu"))
        if not gpus or not nodes or nodes == 1:
            return None
        name = _evaluated(model, wildcards, rest)
        return ":".join(["gpu", *([name] if name else []), str(gpus // nodes)])

    return value


def _evaluated(resource: Any, wildcards: Any, rest: dict[str, Any]) -> Any:
    if resource is None:
        return None
    return (resource.evaluate(wildcards, **rest) if resource.is_evaluable() else resource).value
