"""What a step of reinforcement learning takes here, with either engine of rollouts, and in plain TRL.

    python perf/rl_step.py
    python perf/rl_step.py --model DIR --prompts 16 --tokens 512
    python perf/rl_step.py --shape 3b --prompts 8 --tokens 256 --steps 3 --rounds 1

Three arms train the same weights on the same rows in the same order with the same options. `trl` is `trl.GRPOTrainer`
as its documentation has it: a column of images, transformers' generate, two reward functions that call this project's
judge, and no other code of this project while it trains. `transformers` and `vllm` are a stage of a study with that
engine. They run in turn, each in a process of its own (`rl_arms.py`), as often as `--rounds` says.

Rewards and loss are compared first, and the script fails where they differ. Plain TRL and the transformers engine draw
from the same generator, so they must sample the same completions. vLLM draws otherwise: there plain TRL trains once
more, on the completions that vLLM has sampled, which it gets by its public `rollout_func`; its times are not those of
a step and are left out. Completions, rewards, loss and gradient norm are compared at every step, so that the weights
are too, by what the steps after give; on a GPU, where sums have no fixed order, at the first step alone. vLLM's arm
weighs tokens for what vLLM and the trainer differ in, as a study does by default, and plain TRL does not, so that its
loss also shows what that changes.

Seconds are those of a step, of all steps but the first: the mean of a run, and of that the median over the rounds. On a
CPU they are CPU seconds of the process, which has one thread, because others may use the machine too (the judge's own
process for formulas is not in them); on a GPU they are those of the clock. `generate` is TRL's `_generate` with the
processor in front of it; `sync` hands the weights to vLLM; `judge` is all rewards; `correct` is the pass that the
weighing of tokens needs; `forward` is the loss; `update` is the backward pass and the optimizer; `rest` is rows, the
processor for the loss, and logging. `start` is all that comes before the first step. Memory is the largest resident
memory of the process, on a GPU the most that torch has allocated.

`--shape 3b` builds a model of the shapes of Qwen2.5-VL-3B with random weights, which is never right: the loss is 0, and
what counts is the time, and how far vLLM's log-probabilities are from the trainer's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from rl_arms import MODEL, SEED, WEIGHTS, Setting, options

from reassess.stages.engine_args import vllm_version

ARMS = ("trl", "transformers", "vllm")
REPLAY = "trl, on vLLM's completions"
PARTS = ("generate", "sync", "judge", "correct", "forward", "update", "rest")
# Pictures of the toy are small; a model of real shape sees them as large as those of benchmarks.
PIXELS = 512 * 512
# By so much rewards, loss and gradient norm (relative where they are above 1) may differ between arms. In bfloat16 the
# weights of vLLM's tokens are off 1 by about the drift, and so its bound is that of the loss.
CLOSE = 1e-5
Reports = dict[str, list[dict[str, Any]]]


def study(args: argparse.Namespace, setting: Setting) -> dict[str, Any]:
    """Return a study with a recipe for each engine."""
    path = Path(setting.folder, "shape") if args.shape else args.model
    model: dict[str, Any] = {"dtype": "bfloat16" if setting.gpu else "float32"}
    if path is None:
        model |= {"toy": {"size": args.toy, "steps": 500}, "max_prompt_length": 160}
    else:
        config = json.loads((path / "config.json").read_text())
        positions = config.get("text_config", config)["max_position_embeddings"]
        model |= {"path": str(path), "max_prompt_length": min(2048, positions - setting.tokens)}
    if args.shape:
        model |= {"min_pixels": PIXELS, "max_pixels": PIXELS}
    stage = {"kind": "grpo", "batch_size": setting.batch, "rewards": WEIGHTS, "args": options(setting)}
    return {
        "name": "rl-step",
        "models": {MODEL: {**model, "resources": {"grpo": {"gpu": int(setting.gpu)}}}},
        "pools": {"toy": {"sources": [{"kind": "toy", "n": setting.rows}]}},
        "sizes": [setting.rows],
        "seeds": [SEED],
        "stages": {engine: {**stage, "rollouts": {"engine": engine}} for engine in ARMS[1:]},
        "recipes": {engine: [engine] for engine in ARMS[1:]},
        "benchmarks": {"toy": {"sources": [{"kind": "toy", "n": 16, "split": "test"}]}},
        "suites": {"main": {"benchmarks": ["toy"]}},
        "prompt": {"instruction": "Think, then answer."},
    }


def start(setting: Setting, command: Sequence[str]) -> None:
    """Run a process to its end; exits with its log where it fails."""
    log = Path(setting.folder, "log")
    with log.open("wb") as file:
        streams = {"stdout": file, "stderr": file, "stdin": subprocess.DEVNULL}
        done = subprocess.run([sys.executable, *command], cwd=setting.folder, check=False, **streams)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: ended with status {done.returncode}\n{log.read_text()[-4000:]}")


def train(setting: Setting, arm: str, number: int, replay: str = "") -> dict[str, Any]:
    """Train an arm in a process of its own and return its report."""
    out = Path(setting.folder, f"{'replay' if replay else arm}-{number}.json")
    asked = setting._replace(arm=arm, out=str(out), replay=replay)
    start(setting, [str(Path(__file__).with_name("rl_arms.py")), json.dumps(asked._asdict())])
    return dict(json.loads(out.read_text()))


def prepare(args: argparse.Namespace, setting: Setting) -> None:
    """Write the study, and make the model, the pool and the subset."""
    folder = Path(setting.folder)
    if args.shape:
        build = setting._replace(arm="shape")
        start(setting, [str(Path(__file__).with_name("rl_arms.py")), json.dumps(build._asdict())])
    (folder / "study.json").write_text(json.dumps(study(args, setting)))
    for job in (["model", MODEL], ["pool", "toy"], ["subset", f"toy/seed{SEED}/{setting.rows}"]):
        start(setting, ["-m", "reassess.cli", *job, "--study", "study.json"])


def has_gpu() -> bool:
    # In a process of its own: this one stays small, for a process begins with the peak of the one that started it.
    probe = "import torch; print(torch.cuda.is_available())"
    return "True" in subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout


def apart(arm: str, mine: list[dict[str, Any]], theirs: list[dict[str, Any]], allowed: float) -> float:
    """Return the largest difference of rewards, losses and gradient norms of an arm's steps and plain TRL's.

    Exits at the first step with other completions, or with a difference above `allowed`.
    """
    most = 0.0
    for number, (one, other) in enumerate(zip(mine, theirs, strict=True), 1):
        for name in ("prompts", "completions"):
            if one[name] != other[name]:
                sys.exit(f"{arm}, step {number}: other {name} than those of plain TRL")
        pairs = list(zip(chain(*one["rewards"]), chain(*other["rewards"]), strict=True))
        pairs += [(one[name], other[name]) for name in ("loss", "gradient")]
        # NaN stands for a reward that the judge does not give.
        differences = [abs(a - b) / max(1.0, abs(b)) for a, b in pairs if a == a or b == b]
        if not all(difference <= allowed for difference in differences):
            said = f"loss {one['loss']:.6g} and {other['loss']:.6g}, rewards and gradient norm included"
            sys.exit(f"{arm}, step {number}: {max(differences):.2g} from plain TRL, more than {allowed:g} ({said})")
        most = max(most, *differences)
    return most


def compare(setting: Setting, found: Reports, expects_rewards: bool) -> list[str]:
    """Return what is the same, in words; exits where rewards or loss are not."""
    (vllm, *_), (replayed,), (plain, *_) = found["vllm"], found[REPLAY], found["trl"]
    steps, bound = 1 if setting.gpu else setting.steps, vllm["bound"]
    lines = []
    for arm, mine, theirs in (("transformers", found["transformers"][0], plain), ("vllm", vllm, replayed)):
        most = apart(arm, mine["steps"][:steps], theirs["steps"][:steps], bound if setting.gpu else CLOSE)
        lines.append(
            f"{arm}: same rewards and loss as plain TRL, on the same {setting.batch} completions of each of {steps} "
            f"step(s); {most:.1g} apart at most, gradient norm included"
        )
    if expects_rewards and not any(step["gradient"] for step in plain["steps"]):
        sys.exit("all rewards were alike, so that an equal loss says nothing; take a model that is right at times")
    mean, most = vllm["drift"]
    lines.append(
        f"drift of vLLM from the trainer in {'bfloat16' if setting.gpu else 'float32'}: log-probabilities differ by "
        f"{mean:.2g} on average in the step with the largest difference, and by {most:.2g} at most; a run ends above "
        f"{bound:g}"
    )
    return lines


def overview(setting: Setting, found: Reports) -> list[str]:
    """Return the table of what is reached, and at what cost."""
    names = ("completions/s", "ratio to TRL", "reward", "loss", "tokens", "start", "first step", "peak GiB")
    lines = [f"| arm | {' | '.join(names)} |", f"| --- |{' ---: |' * len(names)}"]
    weights = list(WEIGHTS.values())
    for arm, reports in found.items():
        steps = reports[0]["steps"]
        rewards = [sum(a * b for a, b in zip(weights, of, strict=True)) for step in steps for of in step["rewards"]]
        lengths = [len(ids) for step in steps for ids in step["completions"]]
        said = [f"{statistics.fmean(rewards):.5f}", f"{statistics.fmean(step['loss'] for step in steps):.5f}"]
        said.append(f"{statistics.fmean(lengths):.1f}")
        timed = [seconds(report) for report in reports]
        if arm == REPLAY:
            cells = ["", "", *said, "", "", ""]
        else:
            ratios = [seconds(of)["step"] / mine["step"] for of, mine in zip(found["trl"], timed, strict=True)]
            spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if arm != "trl" and len(ratios) > 1 else ""
            cells = [f"{setting.batch / middle(timed, 'step'):.1f}", f"{statistics.median(ratios):.2f}{spread}", *said]
            cells += [f"{statistics.median(of['start'] for of in reports):.1f} s", f"{middle(timed, 'first'):.2f} s"]
            cells.append(f"{max(of['peak'] for of in reports) / 2**30:.2f}")
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return lines


def parts(found: Reports) -> list[str]:
    """Return the table of seconds."""
    lines = [f"| seconds of a step | {' | '.join(PARTS)} | all |", f"| --- |{' ---: |' * (len(PARTS) + 1)}"]
    for arm in ARMS:
        timed = [seconds(report) for report in found[arm]]
        lines.append(f"| {arm} | {' | '.join(f'{middle(timed, name):.3f}' for name in (*PARTS, 'step'))} |")
    return lines


def seconds(report: dict[str, Any]) -> dict[str, float]:
    """Return the mean seconds of a step after the first, by part and in all, and those of the first."""
    first, *others = [step["seconds"] for step in report["steps"]]
    mean = {part: statistics.fmean(step.get(part, 0.0) for step in others) for part in PARTS}
    return {**mean, "step": sum(mean.values()), "first": sum(first.values())}


def middle(timed: list[dict[str, float]], name: str) -> float:
    return statistics.median(of[name] for of in timed)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, help="a Hugging Face directory")
    which.add_argument("--toy", choices=["xs", "s"], default="s", help="a toy, pretrained first (default: s)")
    which.add_argument("--shape", choices=["3b"], help="random weights of the shapes of Qwen2.5-VL-3B")
    parser.add_argument("--prompts", type=int, default=12, help="prompts of a step (default: 12)")
    parser.add_argument("--generations", type=int, default=8, help="completions to each (default: 8)")
    parser.add_argument("--tokens", type=int, default=32, help="the most tokens of a completion (default: 32)")
    parser.add_argument("--steps", type=int, default=6, help="optimizer steps, the first apart (default: 6)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each arm runs (default: 3)")
    parser.add_argument("--directory", type=Path, help="where to make the temporary folder")
    args = parser.parse_args()
    if args.steps < 2:
        parser.error("--steps: at least 2, for the first is set apart")
    args.model = args.model and args.model.resolve()
    return args


def main() -> None:
    args = parse()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if not (gpu := has_gpu()):
        os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    folder = Path(tempfile.mkdtemp(prefix="rl-step-", dir=args.directory)).resolve()
    setting = Setting("", str(folder), gpu, args.prompts, args.generations, args.tokens, args.steps)
    try:
        prepare(args, setting)
        found: Reports = {arm: [] for arm in ARMS}
        for number in range(args.rounds):
            for arm in ARMS:
                found[arm].append(train(setting, arm, number))
        found[REPLAY] = [train(setting, "trl", 0, str(folder / "vllm-0.json"))]
        versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "trl"))
        print(
            f"{args.shape or args.model or f'toy-{args.toy}'}, {found['trl'][0]['weights']:.3g} weights: {args.steps} "
            f"steps of {args.prompts} prompts x {args.generations} completions of at most {args.tokens} tokens; "
            f"{args.rounds} round(s) on {found['trl'][0]['device']}; {versions}, vllm {vllm_version()}"
        )
        print("\n".join(compare(setting, found, not args.shape)))
        print("", *overview(setting, found), "", *parts(found), sep="\n")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
