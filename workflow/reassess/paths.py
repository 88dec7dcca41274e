"""The one place that spells a path under `results/`.

Every function takes plain names, so that a rule can pass wildcards (`"{model}"`) through the same function; `file` is
a path below the directory that the function names.
"""

from __future__ import annotations

RESULTS = "results"
TABLES = ("capacity", "scale", "transfer", "families", "cost", "reward")
FIGURES = ("scale", "reward")


def study(name: str, digest: str) -> str:
    """The validated study that the jobs of a workflow read; an edited study is another file, for jobs still running."""
    return f"{RESULTS}/studies/{name}-{digest}.json"


def pool(name: str, file: str = "") -> str:
    """A pool's directory: `shards/*.parquet` and `manifest.json`."""
    return _join(f"{RESULTS}/pools/{name}", file)


def benchmark(name: str, file: str = "") -> str:
    """A benchmark's directory, laid out like a pool's."""
    return _join(f"{RESULTS}/benchmarks/{name}", file)


def subset(pool_name: str, seed: str | int, n: str | int) -> str:
    """The ids of a training subset and their hash."""
    return f"{RESULTS}/subsets/{pool_name}/seed{seed}/{n}.json"


def model(name: str, file: str = "") -> str:
    """A base model's directory: the Hugging Face checkpoint in `model/`, and `manifest.json`."""
    return _join(f"{RESULTS}/models/{name}", file)


def cell(model_name: str, pool_name: str, seed: str | int, lineage: str) -> str:
    """The key of a trained checkpoint, shared by its run and its evaluations."""
    return f"{model_name}/{pool_name}/seed{seed}/{lineage}"


def run(cell_name: str, file: str = "") -> str:
    """A training run's directory: `model/`, `run.json`, `metrics.jsonl` and undeclared `checkpoints/`."""
    return _join(f"{RESULTS}/runs/{cell_name}", file)


def evaluation(cell_name: str, suite: str, file: str = "") -> str:
    """An evaluation's directory: `responses.parquet`, `scores.parquet` and `scores.json`."""
    return _join(f"{RESULTS}/evals/{cell_name}/{suite}", file)


def attempts(command: str, key: str) -> str:
    """The attempts at one job: `{key}.jsonl`, and each attempt's log in the directory `{key}/`."""
    return f"{RESULTS}/attempts/{command}/{key}"


def lock(command: str, key: str) -> str:
    """The lock of one job (see `reassess.lock`)."""
    return f"{RESULTS}/locks/{command}/{key}"


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


def tables() -> list[str]:
    """Every table in every format, and their record."""
    return [*(table(name, suffix) for name in TABLES for suffix in ("csv", "md", "tex")), report("tables")]


def figures() -> list[str]:
    """Every figure in every format, and their record."""
    return [*(figure(name, suffix) for name in FIGURES for suffix in ("svg", "pdf")), report("figures")]


def _join(directory: str, file: str) -> str:
    return f"{directory}/{file}" if file else directory
