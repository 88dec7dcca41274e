"""Which options the learning-rate schedules of the installed transformers have, without importing it."""

from __future__ import annotations

import ast
from functools import cache

from reassess.spec import near
from reassess.stages.config_class import members, parsed

_SCHEDULES = "transformers/optimization.py"
_NAMES = ("transformers/trainer_utils.py", "SchedulerType")
# What the trainer gives every schedule by itself.
_BY_THE_TRAINER = {"optimizer", "num_warmup_steps", "num_training_steps", "last_epoch"}


def check_schedule(name: str, options: dict[str, object]) -> None:
    """Check `lr_scheduler_kwargs`. Raises ValueError where a schedule has no such option."""
    known = _options(name)
    if known is None:
        return
    for key in options:
        if key not in known:
            hint = near(key, known, n=1)
            raise ValueError(
                f"args.lr_scheduler_kwargs: the schedule {name!r} has no option {key!r}; {hint}"
                f"it has {', '.join(sorted(known)) or 'none'}"
            )


@cache
def _options(name: str) -> frozenset[str] | None:
    """Return the options of a schedule, None where it hands them on; `get_scheduler` gives none to constant ones."""
    if name.startswith("constant"):
        return frozenset()
    tree = parsed(_SCHEDULES)
    table = next(
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TYPE_TO_SCHEDULER_FUNCTION"
    )
    assert isinstance(table, ast.Dict)
    made_by = dict(zip(members(*_NAMES), map(ast.unparse, table.values), strict=True))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == made_by[name])
    arguments = [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]
    return None if function.args.kwarg else frozenset(arguments) - _BY_THE_TRAINER
