"""Hostile input, other threads and processes, and the worker that may be stopped."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext, SpawnContext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reassess.judge import JUDGE_VERSION, Judgement, follows_format, judge
from reassess.judge.worker import ExhaustedError, StoppedError, Worker, limited

KINDS = ("math", "numeric", "mcq", "text")
PIECES = (
    "\\boxed{", "}", "{", "(", ")", "[", "]", "<think>", "</think>", "<answer>", "</answer>", "answer is ", "Answer:",
    "####", "\\frac", "\\sqrt", "\\text{", "^", "_", "1", "2", "10", "3.5", ".", ",", "%", "$", "\\$", "±", "=", "<",
    "≤", "∪", "or", "and", "x", "A", "B", " ", "\n", "\t", "\x0c", "rac", "cm", "/", "-", "+", "*", "!", "°", "√", "½",
    "²", "'", '"', "`", "**", "\\", "\\begin{pmatrix}", "&", "\\\\", ":", "|", "∈", "not", "five", "∞", "٣", "\ud800",
    "yes", "['a', 'b']", "0", "€",
)  # fmt: skip
fragments = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)
option_lists = st.none() | st.lists(fragments, max_size=4)


@settings(max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(response=fragments, gold=fragments, kind=st.sampled_from(KINDS), options=option_lists)
def test_any_strings_give_a_judgement(response: str, gold: str, kind: str, options: list[str] | None) -> None:
    judgement = judge(response, gold, kind, options)
    assert type(judgement) is Judgement
    assert judgement.correct in (True, False, None)
    assert judgement.answer is None or isinstance(judgement.answer, str)
    assert judgement.reason
    assert len(judgement.reason) < 60
    # Whether a gold can be used does not depend on what was answered.
    assert (judge("", gold, kind, options).correct is None) is (judgement.correct is None)
    assert isinstance(follows_format(response, "think_answer"), bool)
    assert isinstance(follows_format(response, "think_boxed"), bool)


LONG = 100_000
PATHOLOGICAL = [
    ("9^9^9^9", "a tower of powers"),
    ("9^{9^{9^{9}}}", "a tower in braces"),
    ("10^{10^{10}}", "a tower of two"),
    ("99999999!", "a large factorial"),
    ("3!!!!!!!", "repeated factorials"),
    ("2^{99999999}", "a large exponent"),
    ("\\binom{10000000}{5000000}", "a large binomial coefficient"),
    ("\\int_0^1 \\sin(x^{x}) e^{x^{2}} dx", "an integral without a closed form"),
    ("{" * LONG + "5" + "}" * LONG, "deep braces"),
    ("(" * LONG + "5" + ")" * LONG, "deep parentheses"),
    ("(" * 300 + "5" + ")" * 300, "parentheses beyond the recursion limit of a parser"),
    ("\\sqrt{" * 30 + "5" + "}" * 30, "deep roots"),
    ("9" * LONG, "many digits"),
    ("1+" * LONG + "1", "a long sum"),
    ("1," * LONG, "a long list"),
    ("±1" * 200, "many signs"),
    ("x" + " " * LONG + "y", "a long gap"),
    ("\\" * LONG, "many backslashes"),
    ("√" * LONG, "many roots"),
    ("A " * LONG, "many letters"),
]


@pytest.mark.parametrize(("text", "why"), PATHOLOGICAL, ids=[case[1] for case in PATHOLOGICAL])
@pytest.mark.parametrize("kind", ["math", "numeric", "mcq"])
def test_pathological_answers_are_wrong(text: str, why: str, kind: str) -> None:
    gold = "B" if kind == "mcq" else "7"
    assert judge(f"<answer>{text}</answer>", gold, kind).correct is False, why


TAGS = ["<think>", "<answer>", "\\boxed{", "\\boxed{1}" + " " * 29, "answer is ", "answer:\n", "**x", "<|", "####"]


@pytest.mark.parametrize("tag", TAGS)
def test_repeated_marks_give_a_verdict(tag: str) -> None:
    response = tag * (LONG // len(tag))
    assert judge(response, "7", "math").correct is False
    assert follows_format(response, "think_answer") is False
    assert follows_format(response, "think_boxed") is False


@pytest.mark.parametrize("kind", KINDS)
def test_a_pathological_gold_gives_a_verdict(kind: str) -> None:
    for gold in ("\\" * LONG, "(" * LONG, "9" * LONG):
        assert judge("5", gold, kind, ["1", "2"]).correct is not True


def test_threads_judge_and_survive_a_computation_that_is_stopped() -> None:
    pairs = [(f"\\boxed{{{n}(x+1)}}", f"{n}x+{n}", True) for n in range(2, 8)]
    pairs.insert(2, ("\\boxed{9^9^9^9}", "5", False))
    pairs.insert(4, ("\\boxed{\\prod_{k=1}^{9999} \\sin(k x)}", "3x", False))
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda pair: judge(pair[0], pair[1], "math").correct, pairs))
    assert verdicts == [correct for _, _, correct in pairs]


def _judge_into(connection: Connection) -> None:
    connection.send(judge("5(x+2)", "5x+10", "math").correct)


@pytest.mark.parametrize("context", [get_context("fork"), get_context("spawn")], ids=["fork", "spawn"])
def test_daemonic_processes_judge(context: ForkContext | SpawnContext) -> None:
    assert judge("4(x+2)", "4x+8", "math").correct is True
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_judge_into, args=(sender,), daemon=True)
    process.start()
    assert receiver.poll(120)
    assert receiver.recv() is True
    process.join(60)
    assert process.exitcode == 0
    # The child must not have taken over or ended the worker of this process.
    assert judge("6(x+2)", "6x+12", "math").correct is True


def test_a_computation_is_stopped_and_the_next_one_answered() -> None:
    worker = Worker(compute_seconds=0.3)
    try:
        with pytest.raises(StoppedError):
            worker.ask("equal", "\\prod_{k=1}^{9999} \\sin(k x)", "3x")
        assert Fraction(worker.ask("value", "\\frac{1}{4}")) == Fraction(1, 4)
    finally:
        worker.stop()


SLOW = "\\prod_{k=1}^{9999} \\sin(k x)"


def test_a_stopped_computation_keeps_the_process() -> None:
    worker = Worker(compute_seconds=0.3)
    try:
        worker.ask("value", "1")
        assert worker._process is not None
        before = worker._process.pid
        for _ in range(3):
            with pytest.raises(StoppedError):
                worker.ask("equal", SLOW, "3x")
        assert worker.ask("equal", "x+x", "2x") is True
        assert worker._process.pid == before
    finally:
        worker.stop()


def test_all_comparisons_of_a_judgement_share_one_limit() -> None:
    worker = Worker(compute_seconds=0.3)
    try:
        with limited(0.4):
            with pytest.raises(StoppedError):
                worker.ask("equal", SLOW, "3x")
            with pytest.raises(ExhaustedError):
                worker.ask("equal", SLOW, "4x")
            with pytest.raises(ExhaustedError):
                worker.ask("equal", "x", "x")
        assert worker.ask("equal", "x", "x") is True
    finally:
        worker.stop()


def test_a_judgement_without_time_is_wrong_and_not_remembered() -> None:
    gold = ", ".join(f"\\prod_{{k=1}}^{{{n}}} \\sin(k x)" for n in range(9990, 9998))
    answer = ", ".join(f"\\prod_{{k=1}}^{{{n}}} \\cos(k x)" for n in range(9990, 9998))
    verdict = judge(f"<answer>{answer}</answer>", gold, "math")
    assert (verdict.correct, verdict.reason) == (False, "comparison stopped")
    assert judge("<answer>3(x+2)</answer>", "3x+6", "math").correct is True


def test_a_worker_that_was_killed_is_replaced() -> None:
    worker = Worker()
    try:
        assert worker.ask("equal", "x+x", "2x") is True
        assert worker._process is not None
        os.kill(worker._process.pid, signal.SIGKILL)
        assert worker.ask("equal", "x+x", "3x") is False
    finally:
        worker.stop()


def test_a_worker_does_not_outlive_its_process() -> None:
    code = (
        "import os; from reassess.judge import worker; worker.shared.ask('equal', 'x', 'y');"
        "print(worker.shared._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    for _ in range(600):
        status = subprocess.run(["ps", "-o", "stat=", "-p", killed.stdout.strip()], capture_output=True, check=False)
        # A container's first process may leave ended processes unreaped.
        if status.stdout.strip()[:1] in (b"", b"Z"):
            return
        time.sleep(0.1)
    pytest.fail("the worker is still there")


def test_an_interrupted_request_leaves_no_answer_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    worker = Worker()
    try:
        assert Fraction(worker.ask("value", "2")) == 2
        with monkeypatch.context() as patch:
            patch.setattr(worker, "_answer", interrupt)
            with pytest.raises(KeyboardInterrupt):
                worker.ask("value", "3")
        assert Fraction(worker.ask("value", "4")) == 4
    finally:
        worker.stop()


def test_the_package_imports_no_heavy_library() -> None:
    code = (
        "import sys, reassess.judge; print([m for m in ('sympy', 'math_verify', 'torch', 'numpy') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


def test_cheap_comparisons_start_no_process() -> None:
    code = (
        "from reassess.judge import judge, worker;"
        "judge('\\\\boxed{5}', '5', 'math'); judge('6 cm', '5', 'math'); judge('(1, 2)', '(2, 1)', 'math');"
        "judge('B', 'C', 'mcq'); judge('cat', 'dog', 'text'); judge('9^9^9^9', '5', 'math');"
        "print(worker.shared._process)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "None"


def test_an_unknown_kind_names_the_valid_ones() -> None:
    with pytest.raises(ValueError, match="math, numeric, mcq, text"):
        judge("5", "5", "number")


def test_text_is_never_executed(tmp_path: Path) -> None:
    target = tmp_path / "written"
    attack = f"__import__('os').system('touch {target}')"
    for kind in KINDS:
        assert judge(f"<answer>{attack}</answer>", "5", kind).correct is not True
        judge("5", f"[{attack}]", kind)
    assert not target.exists()


def test_the_version_is_a_string() -> None:
    assert isinstance(JUDGE_VERSION, str)
    assert JUDGE_VERSION
