"""Properties of the judge for any strings, and two fuzzers that look for a counterexample.

    python tests/invariants/fuzz_judge.py --minutes 10 hypothesis     # mixes of what answers are made of
    python tests/invariants/fuzz_judge.py --minutes 10 atheris        # coverage-guided; needs `pip install atheris`

Both stop at the first finding and print it; at the end they print how many cases ran and the slowest one.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PIECES = (
    "\\boxed{", "}", "{", "(", ")", "[", "]", "<think>", "</think>", "<answer>", "</answer>", "answer is ",
    "Answer:", "####", "\\frac", "\\sqrt", "\\text{", "\\begin{pmatrix}", "\\end{pmatrix}", "\\begin{cases}",
    "\\end{cases}", "^", "_", "0", "1", "2", "10", "3.5", ".", ",", ";", "%", "$", "\\$", "±", "\\mp", "=", "≠",
    "<", "≤", "∪", "∖", "ℝ", "∅", "|", "or", "and", "not", "x", "A", "B", "C", " ", "\n", "\t", "\f", "rac", "cm",
    "m/s", "kg·m", "²", "°", "'", "/", "-", "+", "*", "!", "√", "½", "\"", "`", "**", "\\", "&", "\\\\", ":", "∈",
    "five", "∞", "٣", "\ud800", "掳", "Ã¡", "yes", "No, ", "because", "['a', 'b']", "€", "e", "5 : 0",
    "\\overline{27}", "101_2", "{\"answer\": 5}", "```",
)  # fmt: skip
KINDS = ("math", "numeric", "mcq", "text")
# Golds of each kind that are an answer: boxed, each of them answers itself.
NUMBERS = (
    "7",
    "-3",
    "0",
    "2.50",
    "1/3",
    "\\frac{3}{4}",
    "10\\sqrt{3}",
    "2^{20}",
    "1,234",
    "5\\%",
    "3.2 \\times 10^{5}",
)
UNITS = ("", " cm", " m/s", "°", " kg", " dollars", " apples", "\\text{ cm}^{2}")
FORMULAS = ("x+1", "(x-1)(x+2)", "\\sin(x)", "2\\pi r", "x^{2}-4", "\\sqrt{x}", "\\ln(x)", "\\frac{x}{2}")
WORDS = ("Paris", "the red cube", "13:18", "Q3 2019", "N/A", "yes", "New York", "H2O")
# What the main process itself may spend on one case. Symbolic work has its own limits in its own process.
OWN_SECONDS = 1.0

Check = Callable[[str, str, str, "list[str] | None"], None]


def any_strings(response: str, gold: str, kind: str, options: list[str] | None) -> None:
    """Check what holds for any strings: a judgement comes, soon, and whether the gold counts depends on it alone."""
    from reassess.judge import Judgement, contains_gold, follows_format, judge, reply_of

    started = time.process_time()
    judgement = judge(response, gold, kind, options)
    spent = time.process_time() - started
    assert spent < OWN_SECONDS, f"{spent:.1f} s in the judging process"
    assert type(judgement) is Judgement
    assert judgement.correct in (True, False, None)
    assert judgement.answer is None or isinstance(judgement.answer, str)
    assert judgement.reason
    assert len(judgement.reason) < 60
    assert (judge("", gold, kind, options).correct is None) is (judgement.correct is None)
    assert judge("", gold, kind, options).correct is not True
    again = judge(response, gold, kind, options)
    # Where time ran out, the same comparison may get as far as another one the next time.
    assert again == judgement or (
        again.correct is judgement.correct is False and "stopped" in again.reason + judgement.reason
    )
    assert isinstance(contains_gold(response, gold, kind, options), bool)
    assert isinstance(reply_of(response), str)
    for template in ("think_answer", "think_boxed"):
        assert isinstance(follows_format(response, template), bool)
    # Reasoning alone is never an answer.
    assert judge(f"<think>{response.replace('think', '')}", gold, kind, options).correct is not True


def an_answer(draw: random.Random) -> tuple[str, str]:
    """Return a gold that is an answer of its kind, and the kind."""
    kind = draw.choice(KINDS)
    if kind == "mcq":
        return draw.choice(("A", "(B)", "C.", "d", "A, C", "\\text{B}")), kind
    if kind == "text":
        return draw.choice(WORDS), kind
    number = draw.choice(NUMBERS)
    if kind == "numeric":
        # Ten roots of apples and five percent of apples are no quantities.
        return number + draw.choice(UNITS if number[0].isdigit() and number[-1].isdigit() else UNITS[:1]), kind
    return draw.choice((one, a_pair, a_set, an_interval, an_inequality, an_equation))(draw), kind


def one(draw: random.Random) -> str:
    return draw.choice((*NUMBERS, *FORMULAS))


def a_pair(draw: random.Random) -> str:
    return f"({draw.choice(NUMBERS[:8])}, {draw.choice(NUMBERS[:8])})"


def a_set(draw: random.Random) -> str:
    return "\\{" + ", ".join(draw.sample(NUMBERS[:4], 3)) + "\\}"


def an_interval(draw: random.Random) -> str:
    low, high = sorted(draw.sample(range(-9, 10), 2))
    text = f"{draw.choice('[(')}{low}, {high}{draw.choice(')]')}"
    return text if draw.random() < 0.6 else f"{text} \\cup ({high + 1}, \\infty)"


def an_inequality(draw: random.Random) -> str:
    return f"x {draw.choice(('<', '>', '≤', '≥', '≠'))} {draw.choice(NUMBERS[:7])}"


def an_equation(draw: random.Random) -> str:
    return f"y = {draw.choice(FORMULAS)}"


def answers_itself(gold: str, kind: str) -> None:
    """Check that a gold that is an answer answers itself in each place where an answer may stand."""
    from reassess.judge import judge

    for response in (f"\\boxed{{{gold}}}", f"<think>x</think><answer>{gold}</answer>", f"The answer is {gold}."):
        judgement = judge(response, gold, kind)
        assert judgement.correct is True, (response, gold, kind, judgement)


def is_symmetric(first: str, second: str) -> None:
    """Check that two exact mathematical answers are equal both ways or neither way."""
    from reassess.judge import judge

    one_way = judge(f"<answer>{first}</answer>", second, "math").correct
    other_way = judge(f"<answer>{second}</answer>", first, "math").correct
    assert one_way == other_way, (first, second, one_way, other_way)


def step(draw: random.Random) -> None:
    """Check all properties on one draw."""
    fragment = lambda most: "".join(draw.choices(PIECES, k=draw.randint(0, most)))  # noqa: E731
    kind = draw.choice(KINDS)
    options = None if draw.random() < 0.5 else [fragment(4) for _ in range(draw.randint(0, 5))]
    any_strings(fragment(14), fragment(8), kind, options)
    gold, kind = an_answer(draw)
    answers_itself(gold, kind)
    # Responses that resemble the gold go furthest into the comparison.
    noisy = list(gold)
    noisy[draw.randrange(len(noisy))] = draw.choice(PIECES)
    any_strings(f"<answer>{''.join(noisy)}</answer>", gold, kind, options)
    exact = [draw.choice((a_set, an_interval, an_inequality, an_equation))(draw) for _ in range(2)]
    is_symmetric(*exact)


_judging = False


def forbid_side_effects() -> None:
    """From here on, end the process at the first file that the judge writes, process it starts, address it looks up."""
    forbidden = ("os.system", "os.exec", "os.remove", "os.rename", "os.mkdir", "shutil.", "socket.", "subprocess.Popen")

    def hook(event: str, details: tuple[Any, ...]) -> None:
        # Hypothesis draws, and keeps a directory, while the judge is asked; the symbolic process may be replaced.
        if not _judging or ".hypothesis" in str(details) or "reassess.judge.algebra" in str(details):
            return
        named = event == "open" and isinstance(details[0], str | bytes) and isinstance(details[1], str)
        written = named and set(details[1]) & set("wax+")
        if written or event.startswith(forbidden):
            print(f"finding: {event} {details}", flush=True)
            os._exit(1)

    sys.addaudithook(hook)


@contextmanager
def judging() -> Iterator[None]:
    global _judging
    _judging = True
    try:
        yield
    finally:
        _judging = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fuzzer", choices=("hypothesis", "atheris"))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    end = time.monotonic() + 60 * args.minutes
    (with_hypothesis if args.fuzzer == "hypothesis" else with_atheris)(end, args.seed)


def with_hypothesis(end: float, seed: int) -> None:
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    from reassess.judge import judge

    judge("x+x", "2x", "math")
    forbid_side_effects()
    cases, slowest, rounds = 0, 0.0, 0

    @settings(
        max_examples=200,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(draw=st.randoms(use_true_random=False))
    def property_of_judge(draw: random.Random) -> None:
        nonlocal cases, slowest
        started = time.monotonic()
        with judging():
            step(draw)
        cases, slowest = cases + 1, max(slowest, time.monotonic() - started)

    while time.monotonic() < end:
        seeded(seed + rounds)(property_of_judge)()
        rounds += 1
    print(f"hypothesis: {cases} draws in {rounds} rounds from seed {seed}, no finding; slowest draw {slowest:.2f} s")


def with_atheris(end: float, seed: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["reassess.judge"]):
        from reassess.judge import judge
    judge("x+x", "2x", "math")
    cases, slowest = 0, 0.0

    def one_input(data: bytes) -> None:
        nonlocal cases, slowest
        if time.monotonic() > end:
            print(f"atheris: {cases} inputs, no finding; slowest {slowest:.2f} s", flush=True)
            os._exit(0)
        provider = atheris.FuzzedDataProvider(data)
        kind = KINDS[provider.ConsumeIntInRange(0, 3)]
        options = [provider.ConsumeUnicode(12) for _ in range(provider.ConsumeIntInRange(0, 4))] or None
        gold = provider.ConsumeUnicode(provider.ConsumeIntInRange(0, 40))
        started = time.monotonic()
        any_strings(provider.ConsumeUnicode(400), gold, kind, options)
        cases, slowest = cases + 1, max(slowest, time.monotonic() - started)

    atheris.Setup([sys.argv[0], f"-seed={seed + 1}", "-max_len=600", "-timeout=20"], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
