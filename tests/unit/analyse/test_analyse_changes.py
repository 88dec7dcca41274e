"""What was changed in a study: which results it makes outdated, what becomes of them, and what tables do without."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from synthetic import edit_json, make_study, write, write_results

from reassess import paths
from reassess.analyse.parity import ParityError
from reassess.analyse.write import tables
from reassess.console.plan import overview
from reassess.console.show import summary
from reassess.console.status import matrix, mismatches
from reassess.graph import Graph, changes
from reassess.graph.state import States

GRPO = "m1/pool/seed1/sft@10/grpo@10"
STAGES = make_study().study.model_dump(mode="json")["stages"]
FASTER = {**STAGES, "grpo": {**STAGES["grpo"], "args": {**STAGES["grpo"]["args"], "learning_rate": 3e-4}}}


@pytest.fixture(autouse=True)
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_results(make_study(), n=8)


def test_a_change_is_one_line_with_the_cells_that_it_concerns() -> None:
    graph = make_study(stages=FASTER)
    found = mismatches(graph, States(graph))
    # Two models, sizes and seeds; their evaluations and scores only follow.
    assert found[0] == "outdated: grpo learning_rate default -> 0.0003 (8 cells)"
    assert found[1] == "outdated: 32 results that were made from outdated or missing ones"
    assert found[2].startswith("to be made again: 8 finished runs, which took 27 minutes of CPU time; ")
    assert len(found) == 3
    for text in (matrix(graph), overview(graph), summary(graph)):
        assert "outdated: grpo learning_rate default -> 0.0003 (8 cells)" in text
    assert mismatches(make_study(), States(make_study())) == []


def test_hours_of_gpus_are_told_where_there_were_any() -> None:
    graph = make_study(stages=FASTER)
    for job in graph.of("train"):
        edit_json(job.record, costs={"gpu_seconds": 1395})
    assert "to be made again: 8 finished runs, which took 3.1 hours of GPU time" in "".join(
        mismatches(graph, States(graph))
    )


def set_aside(graph: Graph, key: str, rule: str = "train") -> None:
    """Leave beside a run, or a base model, another finished one, of what `graph` asks."""
    job = graph[rule, key]
    record = json.loads(Path(job.record).read_text())
    aside = Path(job.record).parent / "checkpoints/0ther1d3/finished.json"
    (aside.parent / "model").mkdir(parents=True)
    run = {**record, "spec": json.loads(job.spec), "fingerprint": f"aside {key}", "identity": "0ther1d3"}
    aside.write_text(json.dumps({"time": 0, "run": run}))


def test_what_is_set_aside_is_taken_back() -> None:
    graph = make_study(stages=FASTER)
    set_aside(graph, GRPO)
    states = States(graph)
    assert [job.key for job in changes.taken_back(graph, states)] == [GRPO]
    assert len(changes.retrained(graph, states)) == 7
    assert any(line.startswith("to be taken back: 1 finished run, ") for line in mismatches(graph, states))


def test_what_is_made_from_a_run_that_comes_back_is_judged_by_that() -> None:
    """A parent that is taken back is another parent than the one that is there."""
    stages = {**STAGES, "sft": {**STAGES["sft"], "batch_size": 4}}
    graph = make_study(stages=stages)
    parent = "m1/pool/seed1/sft@10"
    set_aside(graph, parent)
    assert [job.key for job in changes.taken_back(graph, States(graph))] == [parent]
    # The child was set aside too, when it had started from that parent.
    set_aside(graph, GRPO)
    aside = Path(paths.run(GRPO, "checkpoints/0ther1d3/finished.json"))
    edit_json(str(aside), run__parents=[{"fingerprint": f"aside {parent}"}])
    assert [job.key for job in changes.taken_back(graph, States(graph))] == [parent, GRPO]


def test_what_is_made_from_a_base_model_that_comes_back_is_judged_by_that() -> None:
    graph = make_study(models={name: {"toy": {"size": "xs", "seed": 7}} for name in ("m1", "m2")})
    run = "m1/pool/seed1/sft@10"
    assert changes.taken_back(graph, States(graph)) == []
    set_aside(graph, "m1", "model")
    set_aside(graph, run)
    assert changes.taken_back(graph, States(graph)) == []
    edit_json(paths.run(run, "checkpoints/0ther1d3/finished.json"), run__parents=[{"fingerprint": "aside m1"}])
    assert [job.key for job in changes.taken_back(graph, States(graph))] == [run]


def test_runs_on_examples_that_change_are_told_too() -> None:
    """What comes of another pool is not known before it is made."""
    graph = make_study(pools={"pool": {"sources": [{"kind": "toy", "n": 41}]}})
    write(graph["pool", "pool"], {"content_sha256": "content", "spec": {}})
    Path(paths.pool("pool", "shards")).mkdir()
    for job in graph.of("subset"):
        write(job, {"ids_sha256": f"ids {job.at.seed} {job.at.size}", "pool_content_sha256": "content"})
    edit_json(graph["pool", "pool"].record, spec={"sources": [{"kind": "toy", "n": 40}]})
    for job in graph.of("train"):
        edit_json(job.record, subset__content_sha256="content")
    found = mismatches(graph, States(graph))
    assert found[0].startswith("outdated: pool pool sources ")
    assert any(line.startswith("to be made again: 16 finished runs") for line in found)


def test_a_broken_note_of_what_is_set_aside_is_none() -> None:
    graph = make_study(stages=FASTER)
    set_aside(graph, GRPO)
    for text in ("{", "[]", '{"run": 3}', '{"run": {"parents": 3}}'):
        Path(paths.run(GRPO, "checkpoints/0ther1d3/finished.json")).write_text(text)
        assert changes.taken_back(graph, States(graph)) == []


@pytest.mark.parametrize("gone", ["model", "trajectory", "name"])
def test_what_is_not_whole_is_not_taken_back(gone: str) -> None:
    """It is trained again, and that has to be told."""
    graph = make_study(stages=FASTER)
    set_aside(graph, GRPO)
    root = Path(paths.run(GRPO, "checkpoints/0ther1d3"))
    if gone == "model":
        (root / "model").rmdir()
    elif gone == "trajectory":
        edit_json(str(root / "finished.json"), run__trajectory=[{"step": 4, "path": str(root / "trajectory/step-4")}])
    else:
        # A copy that somebody has made is not where a run looks.
        root.rename(root.with_name("backup"))
    states = States(graph)
    assert changes.taken_back(graph, states) == []
    assert len(changes.retrained(graph, states)) == 8


def test_a_shown_model_that_was_removed_does_not_stay() -> None:
    """Its record is as the study asks, and the run is made anew all the same once its parent is."""
    graph = make_study(stages={**STAGES, "sft": {**STAGES["sft"], "batch_size": 4}})
    parent = "m1/pool/seed1/sft@10"
    set_aside(graph, parent)
    aside = Path(paths.run(parent, "checkpoints/0ther1d3/finished.json"))
    made = json.loads(Path(paths.run(parent, "run.json")).read_text())
    edit_json(str(aside), run__fingerprint=made["fingerprint"])
    assert graph["train", GRPO] not in changes.retrained(graph, States(graph))
    Path(paths.run(GRPO, "model")).symlink_to("checkpoints/removed/model")
    assert graph["train", GRPO] in changes.retrained(graph, States(graph))


def test_tables_refuse_what_is_outdated_and_say_how_to_make_it_again() -> None:
    graph = make_study(stages=FASTER)
    with pytest.raises(ParityError) as error:
        tables(graph)
    said = str(error.value)
    assert "grpo learning_rate default -> 0.0003 (8 cells)" in said
    commands = re.findall(r"^  (snakemake .*)$", said, re.MULTILINE)
    assert len(commands) == 5
    assert commands[0] == (
        f"snakemake --workflow-profile profiles/local --configfile synthetic.yaml -R {paths.run(GRPO, 'run.json')}"
    )
    assert "and 3 more; `reassess status` has them" in said
    assert not Path(paths.table("capacity", "md")).exists()


def test_what_is_outdated_is_a_dash_in_a_partial_report(capsys: pytest.CaptureFixture[str]) -> None:
    graph = make_study(stages=FASTER)
    tables(graph, partial=True)
    assert f"{GRPO}: outdated scores of suite main" in capsys.readouterr().out
    text = Path(paths.table("capacity", "md", partial=True)).read_text()
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert "—" in rows["sft-grpo"].split("|")[2]
    assert re.match(r"\s*\**[\d.]+", rows["sft"].split("|")[2])
    cost = Path(paths.table("cost", "md", partial=True)).read_text()
    assert f"{GRPO}: outdated run.json" in cost


def test_a_new_benchmark_makes_nothing_outdated() -> None:
    toy = {"kind": "toy", "n": 40, "split": "test", "seed": 3}
    study = make_study().study.model_dump(mode="json")
    more = make_study(
        benchmarks={**study["benchmarks"], "new": {"sources": [toy]}},
        suites={**study["suites"], "main": {"benchmarks": ["vis-a", "vis-b", "txt", "new"]}},
    )
    text = matrix(more)
    assert "answered 3 of 4" in text
    assert "outdated" not in text
    states = States(more)
    assert states.of(more["generate", "m1/base/main"]) == "partial"
    assert states.of(more["score", "m1/base/main"]) == "partial"
    assert states.of(more["score", f"{GRPO}/held-out"]) == "done"
    assert mismatches(more, states) == []
    assert "16 of" not in text.splitlines()[-1]


def test_a_record_that_is_broken_is_told_and_stops_no_other_word() -> None:
    graph = make_study()
    Path(graph["train", GRPO].record).write_text("{")
    assert [line for line in mismatches(graph, States(graph)) if "cannot be read" in line]
    assert "tables" in summary(graph)


def test_a_rebuilt_parent_is_told_in_words() -> None:
    graph = make_study()
    job = graph["model", "m1"]
    write(job, {"fingerprint": "new"})
    found = mismatches(graph, States(graph))
    assert "outdated: sft starts from a model that was made again (4 cells)" in found
    assert any(line.startswith("outdated: main generate answers of a model that was made again") for line in found)
