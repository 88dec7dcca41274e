"""What training sees is what evaluation sees, and what it cannot use is refused or put aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from reassess.data.shards import Shards
from reassess.example import Example
from reassess.models.reader import Reader
from reassess.sources.toy import ToySource
from reassess.study.models import Model
from reassess.study.study import Study
from reassess.train import data, ranks
from reassess.train.launch import World
from reassess.train.plan import TrainError

Stored = Callable[[Iterable[Example]], Shards]


@pytest.fixture(scope="module")
def rows(toy_checkpoint: Path, tiny_study: Study, stored: Stored) -> data.Rows:
    model = tiny_study.models["toy-xs"]
    examples = stored(ToySource(kind="toy", n=12).read())
    return data.Rows(examples, Reader.of(toy_checkpoint, model, tiny_study.prompt))


def changed(example: Example, **fields: Any) -> Example:
    return Example(**{**vars(example), **fields})


def limited(rows: data.Rows, **limits: int) -> data.Rows:
    """Return the rows of a model with other limits."""
    old = rows.reader
    model = old.model.model_copy(update=limits)
    return rows._replace(reader=Reader(old.processor, old.stops, model, old.prompt))


def test_a_long_prompt_is_put_aside_with_its_reason(rows: data.Rows, stored: Stored) -> None:
    long = changed(rows.examples[3], id="long", question=rows.examples[3].question + " really" * 200)
    broken = changed(rows.examples[4], id="broken", images=(b"not a picture",))
    more = rows._replace(examples=stored([*rows.examples[:5], long, *rows.examples[5:], broken]))
    kept, out, *_ = data.put_aside(more, share=0.2)
    assert list(kept.examples) == list(rows.examples)
    assert [(item.id, item.reason) for item in out] == [
        ("long", "prompt longer than max_prompt_length"),
        ("broken", "image cannot be decoded"),
    ]
    with pytest.raises(TrainError, match=r"2 of 14 examples cannot be used .*'long'.*max_put_aside 0.1"):
        data.put_aside(more, share=0.1)


def test_processes_share_the_reading(rows: data.Rows, stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [changed(rows.examples[i], id=f"broken{i}", images=(b"no picture",)) for i in range(3)]
    more = rows._replace(examples=stored([*rows.examples[:4], *broken, *rows.examples[4:]]))
    alone = data.put_aside(more, share=0.5)
    monkeypatch.setattr(ranks, "world", lambda: World(2))
    parts = []
    for number in range(2):
        monkeypatch.setattr(ranks, "number", lambda number=number: number)
        monkeypatch.setattr(ranks, "gather", lambda part: parts.append(part) or [part])
        data.put_aside(more, share=0.5, measured=True)
    assert [sorted(out) for out, *_ in parts] == [[4, 6], [5]]
    monkeypatch.setattr(ranks, "gather", lambda part: parts)
    together = data.put_aside(more, share=0.5)
    assert together.out == alone.out
    assert together.image_tokens.record() == alone.image_tokens.record()
    assert together.rows.examples.column("id") == alone.rows.examples.column("id")
    dataset, reader = data.sft_dataset(together.rows), rows.reader
    read = [reader.encode([row["prompt"]], [row["images"]])["input_ids"][0] for row in dataset]
    learnt = [reader.encode([row["completion"]], [])["input_ids"][0] for row in dataset]
    assert (alone.tokens, together.tokens) == (0, sum(map(len, [*read, *learnt])))


def test_lengths_at_the_limit_are_exact(rows: data.Rows) -> None:
    lengths = {example.id: len(data.evaluation_ids(example, rows.reader)) for example in rows.examples}
    limit = sorted(lengths.values())[len(lengths) // 2]
    kept, *_ = data.put_aside(limited(rows, max_prompt_length=limit), share=1.0)
    assert {example.id for example in kept.examples} == {id_ for id_, length in lengths.items() if length <= limit}


def test_a_row_without_rationale_is_named(rows: data.Rows, stored: Stored) -> None:
    examples = [*rows.examples[:2], changed(rows.examples[2], rationales=())]
    with pytest.raises(TrainError, match=f"example '{examples[2].id}' has no rationale"):
        data.imitated(rows._replace(examples=stored(examples)), 1)
    # The gold needs none.
    assert len(data.imitated(rows._replace(examples=stored(examples)), 0).rationales) == 3


def test_what_is_imitated(rows: data.Rows, stored: Stored) -> None:
    first, second = rows.examples[0], changed(rows.examples[1], rationales=("a", "b", "c"), answers=("1", "2", "3"))
    found = rows._replace(examples=stored([first, second]))

    def said(per_question: int) -> list[str]:
        its = data.imitated(found, per_question)
        return [its.reader.response(item, its.rationale(i)) for i, item in enumerate(its.examples)]

    reference = f"<think>{first.rationales[0]}</think><answer>{first.gold}</answer>"
    assert said(1) == [reference, "<think>a</think><answer>1</answer>"]
    assert said(2) == [reference, *(f"<think>{a}</think><answer>{b}</answer>" for a, b in (("a", "1"), ("b", "2")))]
    assert len(said(9)) == 4
    assert said(0) == [f"<answer>{item.gold}</answer>" for item in (first, second)]
    assert [row["completion"] for row in data.sft_dataset(data.imitated(found, 2))] == [
        rows.reader.completion(text) for text in said(2)
    ]


@pytest.mark.parametrize("imitates", [0, 1, 2, 9])
def test_the_tokens_of_an_epoch_are_those_of_all_that_is_imitated(
    rows: data.Rows, stored: Stored, imitates: int
) -> None:
    second = changed(rows.examples[1], rationales=("a", "b b", "c c c"), answers=("1", "2", "3"))
    found = rows._replace(examples=stored([rows.examples[0], second, *rows.examples[2:4]]))
    usable = data.put_aside(found, share=0, imitates=imitates, measured=True)
    imitated, reader = data.sft_dataset(data.imitated(usable.rows, imitates)), rows.reader
    assert len(imitated) == 4 + {2: 1, 9: 2}.get(imitates, 0)
    asked = [reader.encode([row["prompt"]], [row["images"]])["input_ids"][0] for row in imitated]
    said = [reader.encode([row["completion"]], [])["input_ids"][0] for row in imitated]
    assert usable.tokens == sum(map(len, [*asked, *said]))


def test_grpo_refuses_mixed_rows(rows: data.Rows, stored: Stored) -> None:
    mixed = [*rows.examples[:2], changed(rows.examples[2], id="text", images=())]
    with pytest.raises(TrainError, match=r"2 of 3 examples have an image .*'text'.*cannot mix"):
        data.rl_dataset(rows._replace(examples=stored(mixed)), by_engine=False)
    text_only = [changed(example, images=()) for example in rows.examples]
    text_only_rows = rows._replace(examples=stored(text_only))
    assert "images" not in data.rl_dataset(text_only_rows, by_engine=False)[0]


def test_an_engine_gets_text_and_pictures_as_evaluation_asks_them(rows: data.Rows, stored: Stored) -> None:
    mixed = [rows.examples[0], changed(rows.examples[1], id="text", images=())]
    seen, unseen = data.rl_dataset(rows._replace(examples=stored(mixed)), by_engine=True)
    assert [seen["rendered"], unseen["rendered"]] == [rows.reader.render(item) for item in mixed]
    # One token stands for an image, and a row without one is not asked with one.
    assert [row["rendered"].count("<image>") for row in (seen, unseen)] == [1, 0]
    assert [len(row["images"]) for row in (seen, unseen)] == [1, 0]
    assert "rendered" not in data.rl_dataset(rows, by_engine=False)[0]


def test_pixels_are_those_of_evaluation(rows: data.Rows) -> None:
    small = limited(rows, max_pixels=400)
    for dataset in (data.sft_dataset(small), data.rl_dataset(small, by_engine=False)):
        [image] = dataset[0]["images"]
        [expected] = small.reader.pictures(rows.examples[0])
        assert (image.size, image.tobytes()) == (expected.size, expected.tobytes())
        assert image.width * image.height <= 400


@pytest.fixture(scope="module")
def batch(rows: data.Rows) -> Any:
    """A batch as `SFTTrainer` makes it."""
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    dataset = data.sft_dataset(rows)
    collator = DataCollatorForVisionLanguageModeling(processor=rows.reader.processor, completion_only_loss=True)
    return collator([dataset[i] for i in range(len(rows.examples))])


def image_token(rows: data.Rows) -> int:
    token: int = rows.reader.tokenizer.convert_tokens_to_ids("<image>")
    return token


def test_a_good_batch_passes(rows: data.Rows, batch: Any) -> None:
    from reassess.train.sft import check_batch

    check_batch(batch, rows, [image_token(rows)])


def spoil_labels(batch: Any, rows: data.Rows) -> None:
    batch["labels"][1, :] = -100


def spoil_image(batch: Any, rows: data.Rows) -> None:
    row = batch["input_ids"][1]
    batch["labels"][1][row == image_token(rows)] = image_token(rows)


def spoil_prompt(batch: Any, rows: data.Rows) -> None:
    at = (batch["input_ids"][1] == image_token(rows)).nonzero()[0]
    batch["attention_mask"][1, at] = 0


def spoil_response(batch: Any, rows: data.Rows) -> None:
    at = (batch["labels"][1] != -100).nonzero()[0]
    batch["labels"][1, at] = -100
    batch["attention_mask"][1, at] = 0


def spoil_end(batch: Any, rows: data.Rows) -> None:
    at = (batch["labels"][1] == rows.reader.tokenizer.eos_token_id).nonzero()[0]
    batch["labels"][1, at] = -100
    batch["attention_mask"][1, at] = 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_labels, "no token of it carries loss"),
        (spoil_image, "image tokens carry loss"),
        (spoil_prompt, "training and evaluation see different prompts"),
        (spoil_response, "the loss is on .*, the target response is"),
        (spoil_end, "no end-of-turn token carries loss"),
    ],
)
def test_a_bad_batch_is_refused(rows: data.Rows, batch: Any, spoil: Any, message: str) -> None:
    from reassess.train.sft import check_batch

    bad = {name: batch[name].clone() for name in ("input_ids", "attention_mask", "labels")}
    spoil(bad, rows)
    with pytest.raises(TrainError, match=f"{rows.examples[1].id}.*{message}"):
        check_batch(bad, rows, [image_token(rows)])


def test_image_placeholders_are_banned_beside_what_the_user_bans() -> None:
    from reassess.train.reinforced import ban

    assert ban(None, [7]) == {"suppress_tokens": [7]}
    assert ban({"suppress_tokens": [3, 9], "top_k": 5}, [7, 9]) == {"suppress_tokens": [3, 7, 9], "top_k": 5}


def test_trl_gets_rewards_under_their_names_and_with_all_that_they_read(
    family: Callable[[str], Path], tiny_study: Study
) -> None:
    from reassess.rewards import Batch, Reward
    from reassess.train.reinforced import function

    seen: list[Batch] = []

    class Seeing(Reward):
        VERSION = 1

        def of(self, batch: Batch) -> list[float | None]:
            seen.append(batch)
            batch.log_metric("seen", 2.0)
            batch.log_column("text", batch.texts)
            return [0.5, None]

    logged: dict[str, Any] = {}
    # Its template opens the thought of a response.
    reader = Reader.of(family("qwen3-vl-thinking"), Model(path="."), tiny_study.prompt)
    ids = reader.encode(["so 2</think><answer>2</answer><|im_end|>", "b"], [])["input_ids"]
    called = function("seeing", Seeing(weight=1), reader, 7)
    rewarded = called(
        prompts=[],
        completion_ids=ids,
        gold=["x", "y"],
        kind=["text", "mcq"],
        options=[(), ("p", "q")],
        id=["1", "2"],
        trainer_state=None,
        log_metric=logged.__setitem__,
        log_extra=logged.__setitem__,
    )
    assert rewarded == [0.5, None]
    assert called.__name__ == "seeing"
    texts = ["<think>\nso 2</think><answer>2</answer>", "<think>\nb"]
    assert logged == {"seen": 2.0, "text": texts}
    [batch] = seen
    assert (batch.texts, batch.ids, batch.lengths) == (texts, ids, [len(ids[0]), 1])
    assert (batch.golds, batch.kinds, batch.options) == (["x", "y"], ["text", "mcq"], [[], ["p", "q"]])
    assert (batch.limit, batch.form) == (7, tiny_study.prompt.format)
