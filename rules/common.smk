"""The study behind the rules: parsed and validated once, before anything runs."""

import os
import re
import sys

from snakemake.exceptions import WorkflowError

from reassess import config as study_config
from reassess import grid, head, identity, paths, placement, polling, targets
from reassess import resources as job_resources
from reassess.report import jobs


def parse_study():
    """The validated study; a mistake in it ends the parse with one message."""
    files = [str(file) for file in workflow.overwrite_configfiles] or ["config.yaml"]
    try:
        for file in files:
            # Snakemake's own reader keeps the last of two equal keys.
            study_config.read_yaml(file)
        study = study_config.parse(dict(config), files[-1])
        # Snakemake tells a workflow its targets only after the parse.
        targets.check(study, sys.argv[1:])
        return study
    except study_config.StudyError as error:
        raise WorkflowError(str(error)) from None


STUDY = parse_study()
# A parameter that takes inputs or outputs is no reason to run again: rules take this
# one so, because a renamed study is the same work.
STUDY_FILE = paths.study(STUDY.name, identity.digest(STUDY.model_dump_json()))
# Only `--sdm conda` builds it; without, jobs run in the environment that Snakemake runs in.
ENVIRONMENT = workflow.source_path(
    "../envs/cuda.yaml" if STUDY.uses_gpu else "../envs/cpu.yaml"
)
EVALUATIONS = grid.evaluations(STUDY)
SCORES = [
    paths.evaluation(cell, suite, f"scores.{suffix}")
    for cell, suite in EVALUATIONS
    for suffix in ("json", "parquet")
]
RUNS = [paths.run(run.cell, "run.json") for run in grid.runs(STUDY)]
TABLE_FILES = paths.tables()
FIGURE_FILES = paths.figures()
# All results, and not only the last: Snakemake does not miss a deleted or interrupted one behind what was once made
# from it.
RESULTS = [file for job in jobs.jobs(STUDY).values() for file in jobs.outputs(job)]


def one_of(values):
    """A wildcard constraint: these names and no others."""
    return "|".join(re.escape(str(value)) for value in values)


# A trained cell with its wildcards, as paths have it.
CELL = paths.cell("{model}", "{pool}", "{seed}", "{lineage}")
STAGE_AT = f"(?:{one_of(STUDY.stages) or 'none'})@(?:{one_of(STUDY.sizes)})"
LINEAGE = f"{STAGE_AT}(?:/{STAGE_AT})*"


wildcard_constraints:
    model=one_of(STUDY.models),
    pool=one_of(STUDY.pools),
    seed=one_of(STUDY.seeds),
    n=one_of(STUDY.sizes),
    benchmark=one_of(STUDY.benchmarks),
    suite=one_of(STUDY.suites),
    lineage=LINEAGE,
    cell=f"(?:{one_of(STUDY.models)})/(?:{grid.BASE}|{grid.BASE_THINK}"
    f"|(?:{one_of(STUDY.pools)})/seed(?:{one_of(STUDY.seeds)})/{LINEAGE})",


onstart:
    asked = workflow.dag_settings
    forced = bool(asked.forcerun or asked.forceall or asked.forcetargets)
    try:
        head.take(os.environ, forced)
    except head.HeadError as error:
        # Snakemake would say of an error where in this file it was raised.
        sys.exit(f"Error: {error}")
    study_config.dump(STUDY, STUDY_FILE)


onerror:
    failed = [str(file) for job in workflow.scheduler.failed for file in job.output]
    print(head.summary(STUDY, failed, ", ".join(log)), file=sys.stderr)


def run_of(wildcards):
    return grid.Run(
        wildcards.model, wildcards.pool, int(wildcards.seed), wildcards.lineage
    )


def parent_record(wildcards):
    return run_of(wildcards).parent_record


def training(wildcards, attempt=1):
    """What the study gives this training job."""
    run = run_of(wildcards)
    trainer = STUDY.stages[run.stage].trainer
    return job_resources.of(STUDY, wildcards.model, trainer, "train", run.cell, attempt)


def checkpoint_record(wildcards):
    return grid.checkpoint_record(wildcards.cell)


def generating(wildcards, attempt=1):
    """What the study gives this generate job."""
    key = f"{wildcards.cell}/{wildcards.suite}"
    model = grid.model_of(wildcards.cell)
    return job_resources.of(STUDY, model, "generate", "generate", key, attempt)


def making(wildcards, attempt=1):
    """What the study gives the job that makes a base model."""
    return job_resources.of(
        STUDY, wildcards.model, "model", "base-model", wildcards.model, attempt
    )


if workflow.is_main_process:
    polling.hold_to_settings(STUDY)
    placement.place_gpu_jobs(workflow)
