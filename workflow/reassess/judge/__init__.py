"""The verifier that reinforcement-learning rewards and evaluation share.

Importing this package loads the standard library alone; SymPy and math-verify run in a worker process that starts
when a mathematical comparison first needs them.
"""

from reassess.judge.batch import Case, Judges, judge_many
from reassess.judge.extract import reply_of
from reassess.judge.formats import follows_format
from reassess.judge.missed import contains_gold
from reassess.judge.verdict import Judgement, judge
from reassess.versions import JUDGE_VERSION

__all__ = [
    "JUDGE_VERSION",
    "Case",
    "Judgement",
    "Judges",
    "contains_gold",
    "follows_format",
    "judge",
    "judge_many",
    "reply_of",
]
