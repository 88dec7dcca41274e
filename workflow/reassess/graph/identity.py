"""What a job's result depends on, as canonical JSON: the parameter that decides whether a job runs again.

Left out are values equal to their defaults (so that a new option with a default reruns nothing) and neutral fields
(GPUs, batch splitting, logging: see `trainer_args.NEUTRAL`). A version per kind of job is raised when a change of code
changes results.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from reassess.benchmarks import module
from reassess.decoding import Decoding
from reassess.graph import resources
from reassess.graph.job import Job
from reassess.measures import Measure
from reassess.stages import engine_args
from reassess.steps.base import Asks
from reassess.study.data import FromSources
from reassess.study.models import AMENDED
from reassess.study.study import Study
from reassess.versions import JUDGE_VERSION, VERSIONS
from reassess.work.records import canonical


def pool_spec(study: Study, name: str) -> str:
    """Identity of a pool's examples."""
    spec = study.pools[name]
    modality = {} if spec.modality == "visual" else {"modality": spec.modality}
    left_out: dict[str, Any] = {}
    if spec.decontaminate is not None:
        # It is taken out of questions before they are compared.
        said = {"instruction": study.prompt.instruction} if spec.decontaminate.text else {}
        left_out["decontaminate"] = {**spec.decontaminate.identity(), **said}
    if spec.held_out is not None:
        left_out["held_out"] = spec.held_out
    return canonical({"version": VERSIONS["data"], **modality, **left_out, **_sources(spec)})


def examples_spec(study: Study, name: str) -> str:
    """Identity of a set of examples, besides what it is made from."""
    step = study.examples[name]
    made_from = {"kind": step.kind, "version": step.VERSION, "on": list(step.INPUTS)}
    drawn = ({"seed": study.seed} if step.DRAWS else {}) | ({"judge": JUDGE_VERSION} if step.JUDGES else {})
    return canonical({"data": VERSIONS["data"], **made_from, **step.identity(), **drawn})


def asking_spec(study: Study, name: str, model: str) -> str:
    """Identity of what a model says for a set of examples, besides its checkpoint and what is asked."""
    step = study.examples[name]
    assert isinstance(step, Asks)
    asked = {"on": list(step.INPUTS), **step.asked()}
    return canonical({**_generation(study, model), **asked, "decoding": _changed(step.decoding)})


def benchmark_spec(study: Study, name: str) -> str:
    """Identity of a benchmark's examples."""
    spec = study.benchmarks[name]
    fields = {"version": VERSIONS["data"], "modality": spec.modality, **_sources(spec)}
    own: dict[str, Any] = {"own": spec.own.identity()} if spec.own else {}
    # Rows without what the rule reads are put aside; a benchmark's own rows have what its own rule reads.
    rule = None if spec.own is not None and spec.rule == spec.of else spec.rule
    if rule is not None and (needed := module(rule).METADATA):
        own["metadata"] = sorted(needed)
    fields |= own | ({"pool": spec.pool} if spec.pool else {}) | ({"circular": True} if spec.circular else {})
    return canonical(fields)


def model_spec(study: Study, name: str) -> str:
    """Identity of a base model."""
    model = study.speakers[name]
    if model.toy is not None:
        # The toy base is pretrained on prompts of the study's form, so that it can answer them.
        toy = {"version": VERSIONS["toy"], "prompt": _prompt(study)}
        return canonical({**toy, **model.toy.model_dump(mode="json", exclude_defaults=True)})
    return canonical(
        model.model_dump(
            mode="json", include={"path", "revision", "trust_remote_code", *AMENDED}, exclude_defaults=True
        )
    )


def stage_spec(study: Study, model: str, stage: str) -> str:
    """Identity of a training stage on a model: what its weights depend on besides parent, subset and seed."""
    spec, how = study.all_stages[stage], study.speakers[model]
    asked = resources.asked(how, spec.kind, spec)
    processes = asked.training_processes
    fields: dict[str, Any] = {
        "kind": spec.kind,
        "version": spec.VERSION,
        **spec.identity(processes, asked.gpu),
        "model": _loading(study, model),
    }
    if spec.READS_EXAMPLES:
        fields["prompt"] = _prompt(study)
    is_sharded = processes > 1 and resources.distribution(how, spec) != "ddp"
    if is_sharded and asked.gpu and how.dtype == "bfloat16":
        # DeepSpeed computes with weights in bfloat16, autocast with float32 ones: losses differ in the third digit.
        fields["weights"] = "bfloat16"
    return canonical(fields)


def suite_spec(study: Study, model: str, suite: str) -> str:
    """Identity of the responses of a model to a suite, besides checkpoint and benchmark data."""
    spec = study.suites[suite]
    return canonical(
        {**_generation(study, model), "benchmarks": list(spec.benchmarks), "decoding": _changed(spec.decoding)}
    )


def measure_spec(study: Study, model: str, spec: Measure) -> str:
    """Identity of the values of a measure on a model, besides checkpoint and examples."""
    return canonical(
        {
            "kind": spec.kind,
            "version": spec.VERSION,
            "on": spec.on,
            **spec.identity(),
            "evaluation": _evaluation(study),
            "prompt": _prompt(study),
            "model": _loading(study, model),
        }
    )


def score_spec(study: Study, suite: str) -> str:
    """Identity of the scores of a suite, besides the responses."""
    spec: dict[str, Any] = {"version": VERSIONS["score"], "judge": JUDGE_VERSION, "format": study.prompt.format}
    return canonical(spec | _rules(study, study.suites[suite].benchmarks))


def import_spec(study: Study, name: str) -> str:
    """Identity of other people's results under a name, besides benchmark data and the content of their files."""
    spec = study.imported[name]
    # Whose they are stands in the table alone.
    asked = {"version": VERSIONS["import"], "judge": JUDGE_VERSION, **spec.model_dump(mode="json", exclude={"by"})}
    return canonical(asked | _rules(study, spec.files))


def report_spec(study: Study, jobs: Iterable[Job]) -> str:
    """Identity of tables and figures: the recipes name the rows, and what is reported is what these jobs make."""
    made = hashlib.sha256()
    for job in jobs:
        made.update(f"{job.name} {job.spec}\n".encode())
    whose = {name: spec.by for name, spec in study.imported.items()}
    contrasts = [[name, spec.model_dump(mode="json", exclude_none=True)] for name, spec in study.contrasts.items()]
    return canonical(
        {
            "version": VERSIONS["tables"],
            "name": study.name,
            "seed": study.seed,
            # Their order is that of rows, which sorted keys would lose.
            "models": list(study.models),
            "recipes": [
                [name, recipe.model_dump(mode="json", exclude_defaults=True)] for name, recipe in study.recipes.items()
            ],
            "report": study.report.model_dump(mode="json", exclude_none=True),
            **({"imported": whose} if whose else {}),
            **({"contrasts": contrasts} if contrasts else {}),
            "asked": made.hexdigest(),
        }
    )


def _generation(study: Study, model: str) -> dict[str, Any]:
    """What responses of a model depend on, whatever is asked."""
    asked = {"version": VERSIONS["generate"], "prompt": _prompt(study), "seed": study.seed}
    if model in study.endpoints:
        return {**asked, "endpoint": study.endpoints[model].identity()}
    return {**asked, "evaluation": _evaluation(study), "model": _loading(study, model)}


def _changed(decoding: Decoding) -> dict[str, Any]:
    return decoding.model_dump(mode="json", exclude_defaults=True)


def _rules(study: Study, benchmarks: Iterable[str]) -> dict[str, Any]:
    """What official verdicts on responses to these benchmarks depend on, nothing where none has a rule."""
    rules = {
        name: {"rule": benchmark.rule, "judge_model": benchmark.judge_model and benchmark.judge_model.name}
        for name in benchmarks
        if (benchmark := study.benchmarks[name]).rule is not None
    }
    return {"rules": {"version": VERSIONS["rules"], **rules}} if rules else {}


def _sources(spec: FromSources) -> dict[str, Any]:
    """Sources without what does not change an example."""
    return {"sources": [item.identity() for item in spec.sources]}


def _evaluation(study: Study) -> dict[str, Any]:
    return study.evaluation.model_dump(
        mode="json", exclude_defaults=True, exclude={"batch_size": True, "engine_args": set(engine_args.NEUTRAL)}
    )


def _prompt(study: Study) -> dict[str, Any]:
    return study.prompt.model_dump(mode="json", exclude_defaults=True)


def _loading(study: Study, model: str) -> dict[str, Any]:
    fields = {
        *("dtype", "max_prompt_length", "min_pixels", "max_pixels", "trust_remote_code", "attn_implementation"),
    }
    return study.speakers[model].model_dump(mode="json", include=fields, exclude_defaults=True)
