"""The `reassess` command: one subcommand per rule of the workflow, and a few that a person needs."""

from __future__ import annotations

import argparse
import difflib
import importlib.metadata
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from reassess import config, gpus, grid, paths, turns
from reassess.lock import LockLostError
from reassess.study import Filter, Study
from reassess.train import launch

Command = Callable[[argparse.Namespace], None]


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; return the exit status. A user's mistake is one line on stderr and status 1."""
    args = _parser().parse_args(argv)
    if hasattr(args, "threads"):
        _set_threads(args.threads)
    status = 1
    interrupted: turns.Interrupted | None = None
    try:
        if getattr(args, "job", False) and not launch.launched():
            _take_turn(args)
        else:
            args.command(args)
        status = 0
    except turns.Interrupted as error:
        interrupted = error
        print(f"reassess: {error}; what was done is saved, and the same command continues", file=sys.stderr)
    except LockLostError as error:
        print(f"reassess: {error}; nothing more was written", file=sys.stderr)
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        # ValueError is the base of this package's own errors, whose messages say all that is to be said; so do those of
        # the system where they name a file or a full disk.
        if isinstance(error, ValueError) and not type(error).__module__.startswith("reassess."):
            raise
        print(f"reassess: {error}", file=sys.stderr)
    finally:
        turn: turns.Turn | None = getattr(args, "turn", None)
        if turn is not None and not turn.is_reuse:
            # What a job has cost is worth no failure.
            with suppress(OSError):
                _record_time(args, turn.started, ok=status == 0)
    return status if interrupted is None else turns.after_interruption(interrupted)


def _take_turn(args: argparse.Namespace) -> None:
    """Run the command of a rule: alone, recorded, and where signals can reach it."""
    if args.name in ("base-model", "train", "generate"):
        turns.enter_step()
    key = _key(args)
    if key.startswith("/") or ".." in key.split("/"):
        raise config.StudyError(f"{key!r} is no name of a study: it leads out of {paths.RESULTS}/")
    with turns.take(args.name, key) as turn:
        args.turn = turn
        args.command(args)


def _key(args: argparse.Namespace) -> str:
    """Return what a rule's command works on: the name of its lock and of its attempts."""
    match args.name:
        case "pool":
            return str(args.pool)
        case "benchmark":
            return str(args.benchmark)
        case "subset":
            return f"{args.pool}/seed{args.seed}/{args.n}"
        case "base-model":
            return str(args.model)
        case "train":
            return paths.cell(args.model, args.pool, args.seed, args.lineage)
        case "generate" | "score":
            return f"{args.cell}/{args.suite}"
    return "partial" if args.partial else "all"


def run() -> None:
    """Run one subcommand and end the process with its exit status: the console command."""
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # `reassess show | head` has read enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    if "vllm" in sys.modules and os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING") == "0":
        # Python takes four seconds of collecting garbage to end a process that has run an engine in itself; everything
        # is written by now, and there is no engine process to end.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reassess",
        description="Controlled studies of how to post-train vision-language models for reasoning.",
        epilog="check, plan, status, history, show, audit, verify are for you; rules call those from pool on.",
    )
    parser.add_argument("--version", action="version", version=f"reassess {importlib.metadata.version('reassess')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="command")

    def add(name: str, command: Command, text: str, study: str = "--study") -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        if study == "--study":
            sub.add_argument("--study", required=True, help="study file (YAML, or results/studies/NAME.json)")
        elif study:
            sub.add_argument("study", nargs="?", default="config.yaml", help="study file (default: config.yaml)")
        sub.set_defaults(command=command)
        return sub

    def job(name: str, command: Command, text: str, study: str = "--study") -> argparse.ArgumentParser:
        sub = add(name, command, text, study)
        sub.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
        sub.set_defaults(job=True, name=name)
        return sub

    add("check", _check, "validate a study; print its cells and how many jobs it takes", study="study")
    plan = add("plan", _plan, "print what is left of a study: its critical path and what it will cost", study="study")
    plan.add_argument("--slots", type=int, metavar="N", help="jobs at a time that you have (default: any number)")
    status = add("status", _status, "print a matrix of cells: what is done, failed, running or missing", study="study")
    for axis, kind in (("model", str), ("pool", str), ("size", int), ("seed", int), ("recipe", str)):
        status.add_argument(
            f"--{axis}", action="append", type=kind, metavar=axis.upper(), help=f"only of this {axis}; may be repeated"
        )
    status.add_argument("--state", action="append", help="only cells that are done, failed, ...; may be repeated")
    add("show", _show, "print the comparison table and where tables and figures lie", study="study")
    history = add("history", _history, "print every attempt at a cell: where, which steps, why it ended", study="")
    history.add_argument(
        "cell", help="such as toy-xs/toy/seed1/sft@200, the first column of `reassess status`; or a path"
    )
    history.add_argument("--responses", action="store_true", help="print the directory of its kept responses instead")
    audit = add("audit", _audit, "print how far verdicts and rewards can be trusted, with cases to read", study="study")
    audit.add_argument("--cell", help="one cell, such as toy-xs/base (default: all that are scored)")
    audit.add_argument("--sample", type=int, default=12, help="doubtful verdicts to print (default: 12)")
    audit.add_argument(
        "--requests", metavar="FILE", help="write what official rules leave to a large model as JSON lines, and stop"
    )
    add("verify", _verify, "hash a finished study again and print what its records do not describe", study="study")
    add("schema", _schema, "print the JSON Schema of a study, for editors", study="")
    add("reference", _reference, "print the reference of every key of a study, in Markdown", study="")

    job("pool", _pool, "build a pool of training examples").add_argument(
        "--pool", required=True, help="a pool of the study"
    )
    job("benchmark", _benchmark, "build a benchmark").add_argument(
        "--benchmark", required=True, help="a benchmark of the study"
    )
    subset = job("subset", _subset, "write a training subset: a prefix of the pool's seeded shuffle", study="")
    subset.add_argument("--pool", required=True, help="a pool that has been built")
    subset.add_argument("--seed", type=int, required=True, help="seed of the shuffle")
    subset.add_argument("--n", type=int, required=True, help="examples")
    job("base-model", _base_model, "make a base model: build a toy, or fetch a pinned checkpoint").add_argument(
        "--model", required=True, help="a model of the study"
    )
    train = job("train", _train, "train one stage of one cell; continues where a stopped run left off")
    train.add_argument("--model", required=True, help="a model of the study")
    train.add_argument("--pool", required=True, help="a pool of the study")
    train.add_argument("--seed", type=int, required=True, help="a seed of the study")
    train.add_argument("--lineage", required=True, help="such as sft@2000/grpo@2000")
    for name, command, text in (
        ("generate", _generate, "answer a suite of benchmarks with one engine start; generates only what is missing"),
        ("score", _score, "judge the responses of a cell to a suite; needs no GPU and generates nothing"),
    ):
        sub = job(name, command, text)
        sub.add_argument("--cell", required=True, help="such as toy-xs/base or toy-xs/toy/seed1/sft@200")
        sub.add_argument("--suite", required=True, help="a suite of the study")
        if name == "generate":
            sub.add_argument("--gpus", type=int, default=0, help="GPUs for the engine (default: 0)")
    for name, command, text in (
        ("tables", _tables, "write the tables (CSV, Markdown, LaTeX)"),
        ("figures", _figures, "write the figures (SVG, PDF)"),
    ):
        job(name, command, text).add_argument(
            "--partial", action="store_true", help="build from whatever cells exist, and say what is missing"
        )
    return parser


def _set_threads(threads: int) -> None:
    """Before torch is imported: OpenMP reads these once.

    A spinning OpenMP thread on a busy core makes a step 20 times slower, so waiting threads sleep.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def _without_scikit_learn() -> None:
    """Before transformers is imported: it would import scikit-learn for one function of assisted generation.

    That costs a second in every job that trains or generates; drawing toy examples, which needs it, is another job.
    """
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]


def _record_time(args: argparse.Namespace, started: float, ok: bool) -> None:
    """Append what a job cost to `results/times/{host}.jsonl`: one line, so that jobs side by side do not mix."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    skipped = ("command", "job", "study", "threads", "turn")
    record = {
        **{key: value for key, value in vars(args).items() if key not in skipped},
        "started": round(started, 1),
        "seconds": round(time.time() - started, 2),
        "cpu_seconds": round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 2),
        "max_rss_mb": max(own.ru_maxrss, children.ru_maxrss) // 1024,
        "ok": ok,
    }
    folder = Path(paths.RESULTS) / "times"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{os.uname().nodename}.jsonl").open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(record) + "\n")


def _load(args: argparse.Namespace) -> Study:
    return config.load(args.study)


def _known(what: str, name: str, names: Iterable[str]) -> str:
    """Return `name`. Raises StudyError where the study has none such."""
    known = list(names)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known[:20])}"
        raise config.StudyError(f"the study has no {what} {name!r}; {hint}")
    return name


def _check(args: argparse.Namespace) -> None:
    from reassess.report.check import overview

    print(overview(_load(args)))


def _plan(args: argparse.Namespace) -> None:
    from reassess.report.plan import overview

    if args.slots is not None and args.slots < 1:
        raise config.StudyError(f"--slots {args.slots}: at least one job at a time")
    print(overview(_load(args), args.slots))


def _status(args: argparse.Namespace) -> None:
    from reassess.report.status import STATES, matrix

    study = _load(args)
    axes: dict[str, Iterable[object]] = {
        "model": study.models,
        "pool": study.pools,
        "size": study.sizes,
        "seed": study.seeds,
        "recipe": [*study.recipes, grid.BASE_THINK],
    }
    chosen = {axis: getattr(args, axis) for axis in axes}
    for axis, values in chosen.items():
        for value in values or ():
            _known(axis, str(value), map(str, axes[axis]))
    for state in args.state or ():
        if state not in STATES:
            near = difflib.get_close_matches(state, STATES, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise config.StudyError(f"--state {state!r}: {hint}known: {', '.join(STATES)}")
    print(matrix(study, Filter(**chosen), args.state or ()))


def _verify(args: argparse.Namespace) -> None:
    from reassess.report.verify import verify

    verify(_load(args))


def _show(args: argparse.Namespace) -> None:
    from reassess.analyse.show import summary

    print(summary(_load(args)))


def _history(args: argparse.Namespace) -> None:
    from reassess.report.history import history, responses

    print(responses(args.cell) if args.responses else history(args.cell))


def _audit(args: argparse.Namespace) -> None:
    from reassess.report import audit

    study = _load(args)
    if not args.requests:
        print(audit.audit(study, args.cell, args.sample))
        return
    found = audit.requests(study)
    lines = "".join(json.dumps(request, ensure_ascii=False) + "\n" for request in found)
    Path(args.requests).write_text(lines, encoding="utf-8")
    print(f"{args.requests}: {len(found)} requests; put the answers into JSON lines with `key` and `answer`, and name")
    print("them in the study as benchmarks.<name>.judge_model: {name: ..., answers: FILE}")


def _schema(args: argparse.Namespace) -> None:
    from reassess.report.reference import schema

    print(schema(), end="")


def _reference(args: argparse.Namespace) -> None:
    from reassess.report.reference import reference

    print(reference(), end="")


def _pool(args: argparse.Namespace) -> None:
    from reassess.data.build import build_pool

    study = _load(args)
    build_pool(study, _known("pool", args.pool, study.pools))


def _benchmark(args: argparse.Namespace) -> None:
    from reassess.data.build import build_benchmark

    study = _load(args)
    build_benchmark(study, _known("benchmark", args.benchmark, study.benchmarks))


def _subset(args: argparse.Namespace) -> None:
    from reassess.data.build import build_subset

    build_subset(args.pool, args.seed, args.n)


def _base_model(args: argparse.Namespace) -> None:
    from reassess.models.base import build_base

    study = _load(args)
    build_base(study, _known("model", args.model, study.models), args.turn)


def _train(args: argparse.Namespace) -> None:
    _without_scikit_learn()
    study = _load(args)
    _known("model", args.model, study.models)
    _known("pool", args.pool, study.pools)
    for part in args.lineage.split("/"):
        stage, _, size = part.partition("@")
        _known("stage", stage, study.stages)
        if not size.isdecimal():
            raise config.StudyError(f"--lineage {args.lineage!r}: {part!r} is not of the form stage@size")
    run = grid.Run(args.model, args.pool, args.seed, args.lineage)
    if launch.launched():
        from reassess.train.run import train

        # The process that has started this one holds the turn and the GPUs.
        train(study, run)
        return
    resources = study.models[args.model].resources_for(study.stages[run.stage].trainer)
    with gpus.lease(resources.gpu // resources.nodes):
        # The imports below take seconds, in which a notice would kill.
        args.turn.stop.listen()
        from reassess.train.run import train

        train(study, run, args.turn)


def _generate(args: argparse.Namespace) -> None:
    _without_scikit_learn()
    with gpus.lease(args.gpus):
        args.turn.stop.listen()
        from reassess.evaluate.generate import generate

        generate(_load(args), args.cell, args.suite, args.gpus, args.turn)


def _score(args: argparse.Namespace) -> None:
    from reassess.evaluate.score import score

    score(_load(args), args.cell, args.suite, args.threads)


def _tables(args: argparse.Namespace) -> None:
    from reassess.analyse.tables import tables

    tables(_load(args), args.partial)


def _figures(args: argparse.Namespace) -> None:
    from reassess.analyse.figures import figures

    figures(_load(args), args.partial)


if __name__ == "__main__":
    run()
