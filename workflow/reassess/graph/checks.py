"""What does not fit together in a study once the sizes of its models are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reassess.graph import resources
from reassess.graph.resources import Asked
from reassess.spec import near
from reassess.stages import KINDS
from reassess.stages.base import AnyStage
from reassess.study.example_checks import origins
from reassess.study.models import Model
from reassess.study.study import Study


def problems_of(study: Study) -> Iterator[str]:
    """Yield what does not fit together, each with its key path."""
    yield from _of_sets(study)
    stages = [item for variants in study.used.values() for item in variants.items()]
    mixed = next((pool for pool, asked in study.pools.items() if asked.modality == "mixed"), None)
    for name, model in study.speakers.items():
        where = f"{'models' if name in study.models else 'teachers'}.{name}"
        try:
            found = list(_of_model(where, model, [spec for _, spec in stages]))
        except ValueError as error:
            yield f"{where}: {error}"
            continue
        yield from found
        if found or name in study.teachers:
            continue
        for stage, spec in stages:
            asked = resources.asked(model, spec.kind, spec)
            processes = asked.training_processes
            if problem := spec.misfit_of_processes(processes):
                yield f"models.{name}.resources.{spec.kind}: stages.{stage}.{problem}"
            if problem := spec.misfit_of_sampler(asked.gpu):
                yield f"stages.{stage}.{problem}"
            shared = resources.distribution(model, spec) if processes > 1 else "ddp"
            if mixed is not None and (problem := spec.misfit_of_mixed(shared, asked.gpu)):
                yield (
                    f"pools.{mixed}.modality: some of its examples have an image and others none, and stages.{stage} "
                    f"trains {name} on them: {problem}; use a pool of one kind"
                )


def _of_sets(study: Study) -> Iterator[str]:
    """Yield sets of examples that stages read and nobody makes, or of another pool than some of their cells."""
    read = [
        (f"stages.{name}.{'vary.' if 'on' in stage.vary else ''}on", found.reads)
        for name, stage in study.stages.items()
        for found in study.runnable(name).values()
    ]
    read += [
        (f"recipes.{name}.steps.{i}.on", step.on)
        for name, spec in study.recipes.items()
        for i, step in enumerate(spec.steps)
    ]
    for where, on in dict.fromkeys(read):
        if on is None:
            continue
        if on in study.pools:
            yield f"{where}: {on!r} is a pool, which a stage reads without `on`; leave it out"
        elif on not in study.examples:
            known = f"{near(on, study.examples)}known: {', '.join(study.examples) or 'none'}"
            yield f"{where}: no set of examples is called {on!r}; {known}"
        elif held_out := sorted(origins(study, on) - study.pools.keys()):
            yield f"{where}: {on!r} is made from held-out rows ({held_out[0]}), which nothing is trained on"
        elif others := [pool for pool in study.pools if {pool} != (pools := origins(study, on))]:
            yield (
                f"{where}: {on!r} is made from {', '.join(sorted(pools))}, and cells of "
                f"{', '.join(others)} would train on it too; a study with such a stage has that pool alone"
            )


def _of_model(where: str, model: Model, stages: Sequence[AnyStage]) -> Iterator[str]:
    """Yield what is wrong with what a model's jobs ask for. Raises ValueError where its size cannot be told."""
    resources.weights(model)
    for kind in model.resources:
        mine = [stage for stage in stages if stage.kind == kind]
        asked = {resources.asked(model, kind, stage) for stage in mine} or {resources.asked(model, kind)}
        for one in sorted(asked):
            yield from _of_kind(f"{where}.resources.{kind}", kind, one)


def _of_kind(where: str, kind: str, asked: Asked) -> Iterator[str]:
    """Yield what is wrong with what a kind of job asks for."""
    if asked.processes and asked.gpu not in (0, asked.processes):
        yield (
            f"{where}.processes: {asked.processes} for {asked.gpu} GPUs; training runs one process on each GPU, so "
            "leave `processes` out"
        )
    if kind in KINDS and asked.training_processes % asked.nodes:
        yield (
            f"{where}: {asked.training_processes} processes cannot be spread evenly over {asked.nodes} nodes; give "
            "another number of `gpu` or `nodes`"
        )
