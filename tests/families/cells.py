"""Takes one family through the product, command by command: what `matrix` runs in a process for each.

The commands are those of the rules, in the order in which a workflow runs them.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq
import yaml
from safetensors import safe_open

from reassess import paths
from reassess.cli import main as reassess
from reassess.graph import Graph, load
from reassess.prompts import THINK

from . import FAMILIES, build, rows

T = TypeVar("T")
OK = "ok"
NOT_REACHED = "not reached: "
CELLS = (
    *("load", "sft", "grpo", "sft-grpo", "resume", "export", "transformers", "vllm", "rollouts", "base-think"),
    *("score", "tables"),
)
SIZE = 8
RUNS = {"sft": f"sft@{SIZE}", "grpo": f"grpo@{SIZE}", "sft-grpo": f"sft@{SIZE}/grpo@{SIZE}"}
# Steps of a run, each with its checkpoint.
STEPS = 8


def study(names: Sequence[str], engine: str, **more: Any) -> dict[str, Any]:
    """Return a study of families: four recipes on eight examples, asked about every odd picture.

    Args:
        names: families of one modality, whose checkpoints lie in `checkpoints/`.
        engine: who answers.
        more: further options of each model.
    """
    modality = FAMILIES[names[0]].modality
    each_step = {"save_steps": 1, "logging_steps": 1, "learning_rate": 1.0e-3}
    benchmarks = {"text": {"modality": "text", "sources": [_source("text")]}}
    if modality == "visual":
        benchmarks["pictures"] = {"sources": [_source("pictures")]}
    return {
        "name": "families",
        "models": {
            name: {
                "path": f"checkpoints/{name}",
                "dtype": FAMILIES[name].dtype,
                "min_pixels": 3136,
                "max_pixels": 50176,
                "max_prompt_length": 600,
                # Its template writes today's date.
                **({"template_args": {"date_string": "26 Jul 2024"}} if name == "llama3.2" else {}),
                **more,
            }
            for name in names
        },
        "pools": {"pool": {"sources": [_source("pool")], "modality": modality}},
        "sizes": [SIZE],
        "seeds": [1],
        "stages": {
            "sft": {"kind": "sft", "batch_size": 4, "args": {"num_train_epochs": 4, **each_step}},
            "grpo": {
                "kind": "grpo",
                "batch_size": 8,
                "rewards": {"accuracy": 1.0, "format": 0.5, "overlong": {"weight": 1.0, "buffer": 15}},
                "args": {"num_generations": 4, "max_completion_length": 16, "num_train_epochs": 2, **each_step},
            },
        },
        "recipes": {"base": [], "sft": ["sft"], "grpo": ["grpo"], "sft-grpo": ["sft", "grpo"]},
        "benchmarks": benchmarks,
        "suites": {"main": {"benchmarks": list(benchmarks), "decoding": {"max_tokens": 16}}},
        "evaluation": {"engine": engine},
        "report": {"resamples": 100},
    }


def _source(name: str) -> dict[str, Any]:
    return {"kind": "parquet", "path": f"data/{name}", "licence": "CC0"}


def lay_out(names: Sequence[str], **more: Any) -> None:
    """Write into the current directory what a study of families reads, and one study file for each engine."""
    n = len(rows.pictures())
    is_text = FAMILIES[names[0]].modality == "text"
    rows.write("data/pool", rows.text("p", n) if is_text else rows.visual("p", n))
    rows.write("data/text", rows.text("t", 4))
    rows.write("data/pictures", rows.visual("b", n))
    for name in names:
        build(name, Path("checkpoints") / name)
    for engine in ("transformers", "vllm"):
        Path(f"{engine}.yaml").write_text(yaml.safe_dump(study(names, engine, **more)), encoding="utf-8")


class Family:
    """One family on its way through the product, in the current directory.

    Args:
        name: a family of `FAMILIES`.
        log: where the commands' output goes.
        more: further options of the model in the study.
    """

    def __init__(self, name: str, log: Path, **more: Any) -> None:
        self.name = name
        self.log = log.absolute()
        self.found: dict[str, str] = {}
        self.runs = {recipe: paths.cell(name, "pool", 1, end) for recipe, end in RUNS.items()}
        lay_out([name], **more)

    @property
    def graph(self) -> Graph:
        return load("transformers.yaml")

    def command(self, *arguments: str, study: str = "transformers.yaml") -> str:
        """Run one command of `reassess`; return `ok`, or its message in one line."""
        said = io.StringIO()
        try:
            with redirect_stdout(said), redirect_stderr(said):
                status = reassess([*arguments, "--study", study])
        except Exception as error:
            # What no message of the product's own says.
            first = (str(error).strip().splitlines() or [""])[0]
            result = f"{type(error).__name__}: {first}"
        else:
            lines = [line for line in said.getvalue().splitlines() if line.startswith("reassess: ")]
            result = OK if status == 0 else (lines or [f"status {status}"])[-1].removeprefix("reassess: ")
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ reassess {' '.join(arguments)}\n{said.getvalue()}\n{result}\n\n")
        return result

    def run(self) -> dict[str, str]:
        """Fill every cell; return `ok` or the reason by cell."""
        self.found["load"] = self.load()
        if self.found["load"] != OK:
            return self._rest("load")
        # Before anything is trained here: a process that has run a backward pass cannot fork one that does.
        killed = self.kill()
        self.found |= {recipe: self.train(recipe) for recipe in RUNS}
        trained = [self.runs[recipe] for recipe in RUNS if self.found[recipe] == OK]
        self.found["resume"] = self.resume(killed) if self.found["sft"] == OK else f"{NOT_REACHED}sft"
        self.found["export"] = _each(trained, self.export) if trained else f"{NOT_REACHED}{', '.join(RUNS)}"
        base, forced = f"{self.name}/base", f"{self.name}/base-think"
        self.found["transformers"] = _each([base, *trained], self.generate)
        self.found["base-think"] = self.base_think(forced)
        self.found["score"] = _each([base, forced, *trained], self.score)
        is_whole = len(trained) == len(RUNS) and self.found["score"] == OK
        self.found["tables"] = self.command("tables") if is_whole else f"{NOT_REACHED}not all cells are scored"
        # Last: vLLM changes its process.
        is_answered = self.found["transformers"] == OK
        self.found["vllm"] = _each([base, *trained[:1]], self.vllm) if is_answered else f"{NOT_REACHED}transformers"
        self.found["rollouts"] = self.rollouts()
        return self._rest("")

    def _rest(self, missing: str) -> dict[str, str]:
        return {cell: self.found.get(cell, f"{NOT_REACHED}{missing}") for cell in CELLS}

    def load(self) -> str:
        """Make the base model, the data and the subset."""
        jobs = [job for job in self.graph.jobs.values() if job.rule in ("model", "pool", "benchmark", "subset")]
        return _each(jobs, lambda job: self.command(job.rule, job.key))

    def train(self, recipe: str) -> str:
        """Train the last run of a recipe; `ok` where it took all its steps and the weights have changed."""
        result = self.command("train", self.runs[recipe])
        return self._changed(self.runs[recipe], STEPS) if result == OK else result

    def _changed(self, run: str, steps: int) -> str:
        """Return `ok` where a run took so many steps and has changed the weights."""
        record = _read(paths.run(run, "run.json"))
        if record["fingerprint"] == _read(paths.model(self.name, "manifest.json"))["fingerprint"]:
            return "the weights are those of the base model"
        return OK if record["steps_done"] == steps else f"{record['steps_done']} of {steps} steps"

    def kill(self) -> Path:
        """Train SFT in a process and a directory of their own until SIGKILL in mid-run; return the directory."""
        folder = Path("killed").absolute()
        shutil.copytree("results", folder / "results")
        for name in ("data", "checkpoints", "transformers.yaml"):
            (folder / name).symlink_to(Path(name).absolute())
        child = os.fork()
        if child == 0:
            _die_at(STEPS // 2 + 1)
            os.chdir(folder)
            self.command("train", self.runs["sft"])
            os._exit(0)
        os.waitpid(child, 0)
        return folder

    def resume(self, folder: Path) -> str:
        """Continue the killed SFT; `ok` where it ends with the weights of the one that was not killed, bit for bit."""
        record = Path(paths.run(self.runs["sft"], "run.json"))
        if (folder / record).exists():
            return "the run ended before it was killed"
        before = Path.cwd()
        os.chdir(folder)
        result = self.command("train", self.runs["sft"])
        os.chdir(before)
        if result != OK:
            return result
        one, other = (_read(root / record) for root in (before, folder))
        if "resuming at step" not in self.log.read_text(encoding="utf-8"):
            return "the run started over"
        return OK if one["fingerprint"] == other["fingerprint"] else "other weights than those of one run"

    def export(self, cell: str) -> str:
        """Load a trained model in plain transformers; its keys must be those of the base model."""
        import transformers

        is_text = FAMILIES[self.name].modality == "text"
        kind = transformers.AutoModelForCausalLM if is_text else transformers.AutoModelForImageTextToText
        folder = Path(paths.run(cell, "model"))
        _, info = kind.from_pretrained(folder, output_loading_info=True)
        if problems := {name: sorted(keys)[:1] for name, keys in info.items() if keys}:
            return f"{cell}: {problems}"
        one, other = (_keys(root) for root in (Path("checkpoints") / self.name, folder))
        return OK if one == other else f"{cell}: other keys than the base model, as {sorted(one ^ other)[0]}"

    def generate(self, cell: str) -> str:
        """Answer the suite with transformers; `ok` where no response failed."""
        if (result := self.command("generate", f"{cell}/main")) != OK:
            return result
        failed = [row["id"] for row in self._responses(cell) if row["finish_reason"] == "error"]
        return OK if not failed else f"{cell}: {len(failed)} responses failed, as {failed[0]}"

    def base_think(self, cell: str) -> str:
        """Answer with a forced <think>; `ok` where prompt and response together open it once."""
        if (result := self.generate(cell)) != OK:
            return result
        opened = {row["response"].lstrip().startswith(THINK) for row in self._responses(cell)}
        return OK if opened == {True} else f"responses do not start with {THINK}"

    def score(self, cell: str) -> str:
        """Judge what a cell has said."""
        return self.command("score", f"{cell}/main")

    def vllm(self, cell: str) -> str:
        """Answer the suite with vLLM; `ok` where it says what transformers does, in bfloat16 where it says anything."""
        ours = {(row["benchmark"], row["id"]): row for row in self._responses(cell)}
        if (result := self.command("generate", f"{cell}/main", study="vllm.yaml")) != OK:
            return result
        theirs = {(row["benchmark"], row["id"]): row for row in self._responses(cell)}
        fields = ("prompt_tokens", "finish_reason", "response")
        if FAMILIES[self.name].dtype == "bfloat16":
            # Kernels round differently, and a greedy answer forks at the first near tie.
            fields = fields[:1]
        other = [id_ for key, row in ours.items() for id_ in [key[1]] if any(row[f] != theirs[key][f] for f in fields)]
        return OK if not other else f"{len(other)} of {len(ours)} responses differ from transformers', as {other[0]}"

    def rollouts(self) -> str:
        """Train GRPO on completions of vLLM, to rows with pictures, with several and without; `ok` as for `train`."""
        examples = rows.rows_of_all_kinds(self.name)
        rows.write("data/mixed", examples)
        raw = study([self.name], "transformers")
        modality = FAMILIES[self.name].modality
        raw["pools"] = {"mixed": {"sources": [_source("mixed")], "modality": "text" if modality == "text" else "mixed"}}
        raw["sizes"], raw["recipes"] = [len(examples)], {"grpo": ["grpo"]}
        raw["stages"]["grpo"]["rollouts"] = {"engine": "vllm"}
        raw["stages"]["grpo"]["args"]["num_train_epochs"] = 1
        Path("rollouts.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
        run = paths.cell(self.name, "mixed", 1, f"grpo@{len(examples)}")
        for command, key in (("pool", "mixed"), ("subset", f"mixed/seed1/{len(examples)}"), ("train", run)):
            if (result := self.command(command, key, study="rollouts.yaml")) != OK:
                return result
        return self._changed(run, len(examples) // 2)

    def _responses(self, cell: str) -> list[dict[str, Any]]:
        return list(pq.read_table(paths.evaluation(f"{cell}/main", "responses.parquet")).to_pylist())


def _die_at(step: int) -> None:
    """Have this process killed at the end of a training step, before its checkpoint is written."""
    from reassess.train.callbacks import Checkpointing

    on_step_end = Checkpointing.on_step_end

    def kill(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if state.global_step == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return on_step_end(self, args, state, control, **kwargs)

    Checkpointing.on_step_end = kill


def _each(items: Iterable[T], do: Callable[[T], str]) -> str:
    """Return the first result that is not `ok`, else `ok`."""
    return next((result for item in items if (result := do(item)) != OK), OK)


def _read(file: str | Path) -> dict[str, Any]:
    return dict(json.loads(Path(file).read_text(encoding="utf-8")))


def _keys(folder: Path) -> set[str]:
    with safe_open(folder / "model.safetensors", "pt") as file:
        return set(file.keys())
