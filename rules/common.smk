"""The study behind the rules, parsed and checked once, and the list of jobs in which every rule looks itself up."""

import gc
import inspect
import os
import sys

from snakemake.common import overwrite_function_params
from snakemake.exceptions import WorkflowError
from snakemake.resources import Resource

from reassess import graph, paths
from reassess.cluster import executor, head, placement
from reassess.graph import resources as job_resources
from reassess.graph import targets
from reassess.study import read
from reassess.work.records import digest

# The graph of a large study is millions of objects that stay: looking for garbage among them takes a fifth of the time.
gc.set_threshold(100_000, 50, 1000)


def parse_study():
    """The study and all that follows from it; a mistake in it ends the parse with one message."""
    files = [str(file) for file in workflow.overwrite_configfiles] or ["config.yaml"]
    try:
        for file in files:
            # Snakemake's own reader keeps the last of two equal keys.
            read.read_yaml(file)
        parsed = graph.parse(dict(config), files[-1])
        # Snakemake tells a workflow its targets only after the parse.
        targets.check(parsed, sys.argv[1:])
        return parsed
    except read.StudyError as error:
        raise WorkflowError(str(error)) from None


GRAPH = parse_study()
# In command lines and no parameter: a renamed study is the same work.
STUDY_FILE = paths.study(GRAPH.study.name, digest(GRAPH.study.model_dump_json()))
# Only `--sdm conda` builds it; without, jobs run in the environment that Snakemake runs in.
ENVIRONMENT = workflow.source_path(
    "../envs/cuda.yaml" if GRAPH.uses_gpu else "../envs/cpu.yaml"
)
KEYS = {rule: {job.key: job for job in GRAPH.of(rule)} for rule in graph.RULES}


wildcard_constraints:
    key=".+",


def known_signature(function):
    """Snakemake works out the parameters of a function before each of its tens of thousands of calls: once is enough."""
    overwrite_function_params(function, inspect.signature(function).parameters)
    return function


# Through this one every resource goes.
known_signature(Resource.evaluate)


def command(rule):
    """What a job of a rule runs."""
    return f"reassess {rule} {{wildcards.key}} --study {STUDY_FILE} --threads {{threads}} >> {{log}} 2>&1"


def inputs(rule):
    """What a job of a rule reads."""
    jobs = KEYS[rule]
    return known_signature(lambda wildcards: jobs[wildcards.key].inputs)


def spec(rule):
    """What a job depends on beside its inputs. A changed one runs again."""
    jobs = KEYS[rule]
    found = {job.spec for job in jobs.values()}
    if len(found) == 1:
        return found.pop()
    return known_signature(lambda wildcards: jobs[wildcards.key].spec)


def asked(rule, name):
    """A resource of a rule's jobs, as one value where all of them ask for the same."""
    jobs = KEYS[rule]

    def of(job):
        return getattr(job_resources.asked_by(GRAPH.study, job), name)

    found = {of(job) for job in jobs.values()}
    if len(found) > 1:
        return known_signature(lambda wildcards: of(jobs[wildcards.key]))
    return found.pop() if found else 1


def on_model(rule):
    """The resources of the jobs of a rule that works on models."""
    jobs = KEYS[rule]

    def again(name):
        """A resource of which an attempt may ask for more than the one before."""
        return known_signature(
            lambda wildcards, attempt: getattr(
                job_resources.of(GRAPH.study, jobs[wildcards.key], attempt), name
            )
        )

    found = {"mem_mb": again("mem_mb"), "runtime": again("runtime")}
    if jobs and (gpu := asked(rule, "gpu")) != 0:
        found["gpu"] = gpu
    if (nodes := asked(rule, "nodes")) != 1:
        # `mpi` has the executor start the command without an srun of its own, which would ask for one task with the
        # GPUs of all nodes. The command starts a task on each node by itself.
        found |= {"nodes": nodes, "tasks": nodes, "mpi": asked(rule, "mpi")}
    return found


def doubling(mem_mb):
    """Memory of a job without a model: so many MB, and as much more with each attempt."""
    return known_signature(lambda wildcards, attempt: mem_mb * attempt)


onstart:
    asked_for = workflow.dag_settings
    forced = [
        *asked_for.forcerun,
        *(asked_for.targets if asked_for.forcetargets else ()),
    ]
    if asked_for.forceall:
        forced = ["*"]
    try:
        head.take(os.environ, forced)
    except head.HeadError as error:
        # Snakemake would say of an error where in this file it was raised.
        sys.exit(f"Error: {error}")
    read.dump(GRAPH.study, STUDY_FILE)
    head.announce(GRAPH)


onerror:
    failed = [str(file) for job in workflow.scheduler.failed for file in job.output]
    print(head.summary(GRAPH, failed, ", ".join(log)), file=sys.stderr)


if workflow.is_main_process:
    executor.hold_to_settings(GRAPH)
    placement.place_gpu_jobs(workflow)
