"""Versions of the code that results depend on: raised when a change of code changes results, and they are made anew.

Kinds of stages, rewards and steps have versions of their own, beside their code.
"""

# Of the judge: another one scores everything again, and trains again what its rewards have trained.
JUDGE_VERSION = "2"
VERSIONS = {"data": 4, "toy": 1, "generate": 2, "score": 2, "import": 1, "rules": 1, "tables": 2}
