"""Makes one row of the responses to all rotations of a question, for benchmarks that are asked in a circle."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from reassess.data.circular import question_id

# What tells one question, and one sample of an answer to it, from another.
_KEYS = ["cell", "suite", "benchmark", "id", "sample", "step"]
_VERDICTS = ("correct", "format_ok")


def by_question(frame: pd.DataFrame, circular: Collection[str]) -> pd.DataFrame:
    """Return responses with one row per question and sample: right where the answers to all rotations are.

    Without an answer that is wrong, one that is not scored leaves the question unscored. Tokens are the mean over the
    rotations. The gold of what was rotated is empty: no letter is right in all rotations, so that always giving the
    same one scores nothing.

    Args:
        frame: one row per response, as `Collected.items` and `.trajectory` are.
        circular: the benchmarks whose questions were asked in rotations.
    """
    rotated = frame["benchmark"].isin(list(circular))
    if not rotated.any():
        return frame
    part = _plain(frame[rotated])
    questions = part["id"].map(question_id)
    part = part.assign(gold=part["gold"].where(part["id"] == questions, ""), id=questions)
    # The worst decides: false, then unknown, then true.
    part = part.assign(**{name: part[name].map({False: 0, True: 2}).fillna(1) for name in _VERDICTS})
    grouped = part.groupby(_KEYS, observed=True, sort=False, dropna=False)
    whole = grouped.first()
    for name in _VERDICTS:
        whole[name] = grouped[name].min().map({0: False, 2: True}).astype("boolean")
    whole["truncated"] = grouped["truncated"].any().astype("boolean")
    whole["n_tokens"] = grouped["n_tokens"].mean().round().astype("Int32")
    joined = pd.concat([_plain(frame[~rotated]), whole.reset_index()[frame.columns]], ignore_index=True)
    texts = [name for name in frame.columns if isinstance(frame[name].dtype, pd.CategoricalDtype)]
    return joined.astype({**frame.dtypes.drop(texts).to_dict(), **dict.fromkeys(texts, "category")})


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with texts in place of categories, which two frames do not share."""
    texts = [name for name in frame.columns if isinstance(frame[name].dtype, pd.CategoricalDtype)]
    return frame.astype(dict.fromkeys(texts, "object"))
