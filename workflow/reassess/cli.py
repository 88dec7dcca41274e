"""The `reassess` command: one subcommand per rule of the workflow, and a few that a person needs."""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reassess import paths
from reassess.graph import BASE_THINK, Job, load, resources
from reassess.spec import near
from reassess.study.read import StudyError
from reassess.study.study import Filter
from reassess.train import launch
from reassess.work import gpus, turns
from reassess.work.lock import LockLostError

Command = Callable[[argparse.Namespace], None]
if TYPE_CHECKING:
    # argparse has no public name for what `add_subparsers` returns.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; return the exit status. A user's mistake is one line on stderr and status 1."""
    args = _parser().parse_args(argv)
    if hasattr(args, "threads"):
        _set_threads(args.threads)
    status = 1
    interrupted: turns.Interrupted | None = None
    try:
        if hasattr(args, "study"):
            args.graph = load(args.study)
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
    if args.name in ("model", "train", "generate", "measure"):
        turns.enter_step()
    if getattr(args, "partial", False):
        args.work = Job(args.name, "partial", (), (), (), "")
    else:
        args.work = args.graph[args.name, args.key]
    with turns.take(args.work.rule, args.work.key) as turn:
        args.turn = turn
        args.command(args)


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
        epilog="Those up to reference are for you; rules call those from pool on.",
    )
    parser.add_argument("--version", action="version", version=f"reassess {importlib.metadata.version('reassess')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="command")
    _add_for_people(commands)
    _add_for_rules(commands)
    return parser


def _add(commands: Commands, name: str, command: Command, text: str, study: str = "--study") -> argparse.ArgumentParser:
    """Add a command and return its parser.

    Args:
        commands: those of the program.
        name: its name.
        command: what it calls.
        text: what it does.
        study: how it is told its study: by `--study`, by an `option` that has a default, as an argument, or not at all.
    """
    sub = commands.add_parser(name, help=text, description=text)
    if study == "--study":
        sub.add_argument("--study", required=True, help="study file (YAML, or results/studies/NAME.json)")
    elif study == "option":
        sub.add_argument("--study", default="config.yaml", help="study file (default: config.yaml)")
    elif study:
        sub.add_argument("study", nargs="?", default="config.yaml", help="study file (default: config.yaml)")
    sub.set_defaults(command=command)
    return sub


def _add_for_people(commands: Commands) -> None:
    add = functools.partial(_add, commands)
    check = add("check", _check, "validate a study and open its data; print its cells and jobs", study="study")
    check.add_argument("--data", action="store_true", help="read all rows of the data, not the first of each source")
    plan = add("plan", _plan, "print what is left of a study: its critical path and what it will cost", study="study")
    plan.add_argument("--slots", type=int, metavar="N", help="jobs at a time that you have (default: any number)")
    status = add("status", _status, "print a matrix of cells: what is done, failed, running or missing", study="study")
    for axis, kind in (("model", str), ("pool", str), ("size", int), ("seed", int), ("recipe", str)):
        status.add_argument(
            f"--{axis}", action="append", type=kind, metavar=axis.upper(), help=f"only of this {axis}; may be repeated"
        )
    status.add_argument("--state", action="append", help="only cells that are done, failed, ...; may be repeated")
    add("show", _show, "print the comparison table and where tables and figures lie", study="study")
    history = add("history", _history, "print every attempt at a cell: where, which steps, its end", study="option")
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
    export = add("export", _export, "write the responses of a cell to a suite as lm-eval's results and samples")
    export.add_argument("key", help="cell and suite: toy-xs/base/main")
    export.add_argument("--to", required=True, metavar="DIR", help="where the files are written")
    add("verify", _verify, "hash a finished study again and print what its records do not describe", study="study")
    add("schema", _schema, "print the JSON Schema of a study, for editors", study="")
    reference = add("reference", _reference, "print the reference of every key of a study, in Markdown", study="")
    reference.add_argument("--data", action="store_true", help="print that of the data sets that are known by name")


def _add_for_rules(commands: Commands) -> None:
    def job(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        sub = _add(commands, name, command, text)
        sub.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
        sub.set_defaults(job=True, name=name)
        return sub

    for name, command, text, key in (
        ("pool", _examples, "build a pool of training examples", "a pool of the study"),
        ("benchmark", _examples, "build a benchmark", "a benchmark of the study"),
        ("examples", _set, "make a set of examples from a pool or another set", "a set of the study's `examples`"),
        (
            "subset",
            _subset,
            "write a subset: a prefix of the pool's seeded shuffle",
            "toy/seed1/200; of a set, toy+hard/seed1/200",
        ),
        ("model", _model, "make a base model: build a toy, or fetch a pinned checkpoint", "a model of the study"),
        ("train", _train, "train one cell; continues where a stopped run left off", "such as toy-xs/toy/seed1/sft@200"),
        ("generate", _ask, "answer a suite with a cell's checkpoint(s)", "cell and suite: toy-xs/base/main"),
        ("score", _score, "judge the responses of a cell to a suite; needs no GPU", "cell and suite: toy-xs/base/main"),
        ("measure", _ask, "take a measure of a cell's model", "cell and measure: toy-xs/base/loss"),
        ("import", _import, "read and judge other people's responses", "a name of the study's `imported`"),
    ):
        job(name, command, text).add_argument("key", help=key)
    for name, command, text in (
        ("tables", _tables, "write the tables (CSV, Markdown, LaTeX)"),
        ("figures", _figures, "write the figures (SVG, PDF)"),
    ):
        sub = job(name, command, text)
        sub.set_defaults(key="all")
        sub.add_argument("--partial", action="store_true", help="build from whatever cells exist, say what is missing")


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
    record = {
        "rule": args.work.rule,
        "key": args.work.key,
        "at": args.work.at._asdict(),
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


def _known(what: str, name: str, names: Iterable[str]) -> str:
    """Return `name`. Raises StudyError where the study has none such."""
    known = list(names)
    if name not in known:
        hint = near(name, known, n=1).strip() or f"known: {', '.join(known[:20])}"
        raise StudyError(f"the study has no {what} {name!r}; {hint}")
    return name


def _check(args: argparse.Namespace) -> None:
    from reassess.console import check, rows

    print(check.overview(args.graph), flush=True)
    found = rows.overview(args.graph, args.data)
    print("\n".join(["", *found.lines]))
    if found.problems:
        raise StudyError("\n".join(found.problems))


def _plan(args: argparse.Namespace) -> None:
    from reassess.console.plan import overview

    if args.slots is not None and args.slots < 1:
        raise StudyError(f"--slots {args.slots}: at least one job at a time")
    print(overview(args.graph, args.slots))


def _status(args: argparse.Namespace) -> None:
    from reassess.console.status import STATES, matrix

    study = args.graph.study
    axes: dict[str, Iterable[object]] = {
        "model": study.models,
        "pool": study.pools,
        "size": study.sizes,
        "seed": study.seeds,
        "recipe": [*study.recipes, BASE_THINK],
    }
    chosen = {axis: getattr(args, axis) for axis in axes}
    for axis, values in chosen.items():
        for value in values or ():
            _known(axis, str(value), map(str, axes[axis]))
    for state in args.state or ():
        if state not in STATES:
            raise StudyError(f"--state {state!r}: {near(state, STATES, n=1)}known: {', '.join(STATES)}")
    print(matrix(args.graph, Filter(**chosen), args.state or ()))


def _verify(args: argparse.Namespace) -> None:
    from reassess.console.verify import verify

    verify(args.graph)


def _show(args: argparse.Namespace) -> None:
    from reassess.console.show import summary

    print(summary(args.graph))


def _history(args: argparse.Namespace) -> None:
    from reassess.console.history import history, responses

    print(responses(args.graph, args.cell) if args.responses else history(args.graph, args.cell))


def _audit(args: argparse.Namespace) -> None:
    from reassess.console import audit

    if not args.requests:
        print(audit.audit(args.graph, args.cell, args.sample))
        return
    found = audit.requests(args.graph)
    lines = "".join(json.dumps(request, ensure_ascii=False) + "\n" for request in found)
    Path(args.requests).write_text(lines, encoding="utf-8")
    print(f"{args.requests}: {len(found)} requests; put the answers into JSON lines with `key` and `answer`, and name")
    print("them in the study as benchmarks.<name>.judge_model: {name: ..., answers: FILE}")


def _export(args: argparse.Namespace) -> None:
    from reassess.evaluate.export import export

    for file in export(args.graph, args.graph["score", args.key], Path(args.to)):
        print(file)


def _schema(args: argparse.Namespace) -> None:
    from reassess.study.reference import schema

    print(schema(), end="")


def _reference(args: argparse.Namespace) -> None:
    from reassess.study.data_reference import data_reference
    from reassess.study.reference import reference

    print(data_reference() if args.data else reference(), end="")


def _examples(args: argparse.Namespace) -> None:
    from reassess.data.pool import build_examples

    build_examples(args.graph, args.work)


def _set(args: argparse.Namespace) -> None:
    from reassess.data.examples import build_set

    build_set(args.graph, args.work, args.threads)


def _subset(args: argparse.Namespace) -> None:
    from reassess.data.subset import build_subset

    build_subset(args.work)


def _model(args: argparse.Namespace) -> None:
    from reassess.models.base import build_base

    build_base(args.graph, args.work, args.turn)


def _train(args: argparse.Namespace) -> None:
    _without_scikit_learn()
    if launch.launched():
        from reassess.train.frame import train

        # The process that has started this one holds the turn and the GPUs.
        job = args.graph["train", args.key]
        with launch.join(job.key) as turn:
            train(args.graph, job, turn)
        return
    asked = resources.of(args.graph.study, args.work)
    with gpus.lease(asked.gpu // asked.nodes):
        # The imports below take seconds, in which a notice would kill.
        args.turn.stop.listen()
        from reassess.train.frame import train

        train(args.graph, args.work, args.turn)


def _ask(args: argparse.Namespace) -> None:
    """Run a job that asks a model, to say something or how likely something is."""
    _without_scikit_learn()
    asked = resources.of(args.graph.study, args.work)
    with gpus.lease(asked.gpu):
        # As of training.
        args.turn.stop.listen()
        if args.work.rule == "measure":
            from reassess.evaluate.measure import measure as ask
        else:
            from reassess.evaluate.generate import generate as ask
        ask(args.graph, args.work, asked.gpu, args.turn)


def _score(args: argparse.Namespace) -> None:
    from reassess.evaluate.score import score

    score(args.graph, args.work, args.threads)


def _import(args: argparse.Namespace) -> None:
    from reassess.evaluate.imported import import_results

    import_results(args.graph, args.work, args.threads)


def _tables(args: argparse.Namespace) -> None:
    from reassess.analyse.write import tables

    tables(args.graph, args.partial)


def _figures(args: argparse.Namespace) -> None:
    from reassess.analyse.write import figures

    figures(args.graph, args.partial)


if __name__ == "__main__":
    run()
