"""The one place that spells a path under `results/`.

Every function takes plain names, so that a rule can pass wildcards (`"{model}"`) through the same function; `file` is
a path below the directory that the function names.
"""

from __future__ import annotations

RESULTS = "results"


def study(name: str, digest: str) -> str:
    """The validated study that the jobs of a workflow read; an edited study is another file, for jobs still running."""
    return f"{RESULTS}/studies/{name}-{digest}.json"


def forced(digest: str) -> str:
    """What was asked for again (`-R`) in one start of a workflow, where it is too long for the environment of jobs."""
    return f"{RESULTS}/studies/forced-{digest}.json"


def pool(name: str, file: str = "") -> str:
    """A pool's directory: `shards/*.arrow` and `manifest.json`."""
    return _join(f"{RESULTS}/pools/{name}", file)


def benchmark(name: str, file: str = "") -> str:
    """A benchmark's directory, laid out like a pool's."""
    return _join(f"{RESULTS}/benchmarks/{name}", file)


def examples(name: str, file: str = "") -> str:
    """The directory of a set of examples that is made from others, laid out like a pool's."""
    return _join(f"{RESULTS}/examples/{name}", file)


def subset_key(pool_name: str, on: str, seed: str | int, n: str | int) -> str:
    """The key of a training subset of a pool, or of a set of examples `on` that is made from it."""
    return f"{pool_name}{'+' if on else ''}{on}/seed{seed}/{n}"


def subset(key: str) -> str:
    """The ids of a training subset and their hash."""
    return f"{RESULTS}/subsets/{key}.json"


def model(name: str, file: str = "") -> str:
    """A base model's directory: the Hugging Face checkpoint in `model/`, and `manifest.json`."""
    return _join(f"{RESULTS}/models/{name}", file)


def cell(model_name: str, pool_name: str, seed: str | int, name: str) -> str:
    """The key of a trained checkpoint, shared by its run and its evaluations."""
    return f"{model_name}/{pool_name}/seed{seed}/{name}"


def run(cell_name: str, file: str = "") -> str:
    """A run's directory: `run.json`, and undeclared `checkpoints/` with links to what it holds, such as `model`."""
    return _join(f"{RESULTS}/runs/{cell_name}", file)


def evaluation(key: str, file: str = "") -> str:
    """The directory of an evaluation (`{cell}/{suite}`): `responses.parquet`, `scores.parquet` and `scores.json`."""
    return _join(f"{RESULTS}/evals/{key}", file)


def measure(key: str, file: str = "") -> str:
    """The directory of a measure of a cell (`{cell}/{measure}`): `values.parquet` and `measure.json`."""
    return _join(f"{RESULTS}/measures/{key}", file)


def imported(name: str, file: str = "") -> str:
    """The directory of other people's results under a name of the study, with the files of an evaluation."""
    return _join(f"{RESULTS}/imported/{name}", file)


def log(rule: str, key: str) -> str:
    """What a job prints, under Snakemake."""
    return f"{RESULTS}/logs/{rule}/{key}.log"


def attempts(rule: str, key: str) -> str:
    """The attempts at one job: `{key}.jsonl`, and each attempt's log in the directory `{key}/`."""
    return f"{RESULTS}/attempts/{rule}/{key}"


def lock(rule: str, key: str) -> str:
    """The lock of one job (see `reassess.work.lock`)."""
    return f"{RESULTS}/locks/{rule}/{key}"


def store(fingerprint: str) -> str:
    """The append-only responses of one checkpoint, whatever study or suite asked for them."""
    return f"{RESULTS}/responses/{fingerprint[:16]}"


def table(name: str, suffix: str, partial: bool = False) -> str:
    """One table in one format (`csv`, `md`, `tex`)."""
    return f"{RESULTS}/tables{'_partial' if partial else ''}/{name}.{suffix}"


def figure(name: str, suffix: str, partial: bool = False) -> str:
    """One figure in one format (`svg`, `pdf`)."""
    return f"{RESULTS}/figures{'_partial' if partial else ''}/{name}.{suffix}"


def report(kind: str, partial: bool = False) -> str:
    """The record of what `tables` or `figures` were made from."""
    return f"{RESULTS}/{kind}{'_partial' if partial else ''}.json"


def stamp(kind: str, digest: str) -> str:
    """An empty file beside tables or figures that names what they were made for."""
    return f"{RESULTS}/{kind}/.made-for-{digest}"


def _join(directory: str, file: str) -> str:
    return f"{directory}/{file}" if file else directory
