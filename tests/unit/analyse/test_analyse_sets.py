"""Tables of contrasts and of sets of examples from synthetic results, against numbers worked out by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from synthetic import edit_json, sets_study, write_results

from reassess import paths
from reassess.analyse.collect import MissingError, collect
from reassess.analyse.traces import words
from reassess.analyse.write import tables
from reassess.data.shards import write_shards
from reassess.data.subset import ids_sha256
from reassess.example import Example
from reassess.graph import Graph


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    monkeypatch.chdir(tmp_path)
    return sets_study()


def scores(cell: str, step: int | None, benchmark: str, n: int) -> list[bool | None]:
    """The first items are right: of the base 8, after SFT 20, after SFT on the teacher's traces 28, after GRPO 12; of
    the second model four more."""
    right = {"base": 8, "sft": 20, "sft+traces": 28, "grpo": 12}.get(cell.split("/")[-1].split("@")[0], 0)
    return [i < right + 4 * cell.startswith("m2/") for i in range(n)]


def lines(name: str) -> list[list[str]]:
    """The rows of a table as lists of entries, its headers and rules left out."""
    found = re.findall(r"^\| (.*) \|$", Path(paths.table(name, "md")).read_text(), flags=re.MULTILINE)
    rows = [[entry.strip() for entry in row.split(" | ")] for row in found]
    return [row for row in rows if not row[1].startswith("---") and row[0] not in ("Model", "Method", "Set")]


def test_a_contrast_is_paired_on_each_model_and_averaged(graph: Graph) -> None:
    write_results(graph, scores)
    tables(graph)
    one, two, mean, gain, across = lines("contrasts")
    assert one[:3] == ["m1", "sft, 10", "sft-grpo, 20"]
    # 20 of 40 against 12 of 40 on each of two visual benchmarks, and of one of text.
    assert [entry.split()[0] for entry in one[3:]] == ["50.0", "30.0", "+20.0"] * 2
    assert [entry.split()[0] for entry in two[3:]] == ["60.0", "40.0", "+20.0"] * 2
    assert mean[0] == "mean of 2"
    assert mean[5].startswith("+20.0 [")
    assert gain[:3] == ["m2", "distilled, 20", "base"]
    assert gain[5].startswith("+50.0 [")
    # 20 of 40 of the first model against 16 of 40 of the second.
    assert across[0] == "m1, m2"
    assert across[5].startswith("+10.0 [")
    numbers = pd.read_csv(paths.table("contrasts", "csv"))
    means = numbers[(numbers["contrast"] == "headline") & (numbers["measure"] == "a - b")]
    assert means["mean"].tolist() == pytest.approx([0.2] * 6)
    first, both = (means[(means["model"] == name) & (means["column"] == "Visual")].iloc[0] for name in ("m1", "mean"))
    # Where the models differ is in other items of the two.
    assert both["hi"] - both["lo"] < first["hi"] - first["lo"]
    assert first["seeds"] == 2


def test_sources_say_who_wrote_the_traces_and_what_they_do(graph: Graph) -> None:
    write_results(graph, scores)
    tables(graph)
    m1 = {row[0]: row[1:] for row in lines("sources")[:3]}
    assert list(m1) == ["sft", "distilled", "short"]
    assert m1["sft"][:3] == ["their source", "—", "—"]
    # What is selected from traces was written by the teacher too.
    assert m1["distilled"][:3] == m1["short"][:3] == ["t", "30 (75.0%)", "40 (50.0%)"]
    assert m1["distilled"][4].split()[0] == "70.0"
    assert [entry.split()[0] for entry in m1["distilled"][5:]] == ["+50.0"] * 3
    numbers = pd.read_csv(paths.table("sources", "csv")).set_index(["model", "method", "column", "measure"])
    facts = numbers.loc["m2", "distilled", "traces", "facts"]
    assert facts[["set", "written_by", "asked", "kept", "samples", "right"]].tolist() == ["traces", "t", 40, 30, 80, 40]
    text = Path(paths.table("sources", "md")).read_text()
    assert "In distribution: vis-a." in text
    assert "Out of distribution: vis-b." in text
    assert "sft-grpo" not in "".join(map(str, lines("sources")))


def test_words_are_those_of_the_subset_that_was_trained_on(graph: Graph) -> None:
    write_results(graph, scores)
    rows = [Example(str(i), (), "?", (), "1", "numeric", ("word " * i, "another"), "s", "", 0) for i in range(1, 7)]
    write_shards(paths.examples("traces", "shards"), rows)
    for seed, ids in ((1, ["2", "4"]), (2, ["6", "4"])):
        file = Path(paths.subset(f"pool+traces/seed{seed}/20"))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"ids": ids, "ids_sha256": ids_sha256(ids)}))
        for model in ("m1", "m2"):
            record = paths.run(f"{model}/pool/seed{seed}/sft+traces@20", "run.json")
            edit_json(record, subset={"ids_sha256": ids_sha256(ids), "content_sha256": "content traces"})
    distilled = [graph.runs[f"m1/pool/seed{seed}/sft+traces@20"] for seed in (1, 2)]
    # The first rationale of each, over both seeds: 2, 4, 6 and 4 words.
    assert words(collect(graph), distilled) == 4
    # The pool is not there, so nothing is known of the references.
    assert words(collect(graph), [graph.runs["m1/pool/seed1/sft@20"]]) is None
    # Another set under the same name is not what was trained on.
    edit_json(paths.examples("traces", "manifest.json"), content_sha256="other")
    assert words(collect(graph), distilled) is None


def test_examples_by_family_and_why_they_were_left_out(graph: Graph) -> None:
    write_results(graph, scores)
    tables(graph)
    whole, first, second, short = lines("examples")
    assert whole == [
        *("traces¹", "all", "40", "32 (80.0%)", "40 (50.0%)", "30 (75.0%)", "10", "10.0", "800", "7.5"),
    ]
    assert first[1:] == ["f0", "20", "16 (80.0%)", "20 (50.0%)", "15 (75.0%)", "5", "10.0", "", ""]
    assert second[1] == "f1"
    assert short == ["short²", "all", "—", "—", "—", "20", "10", "—", "—", "2.5"]
    text = Path(paths.table("examples", "md")).read_text()
    assert "no response is right 8" in text
    assert "length 1" in text
    assert "not 0 to 9 words 10" in text
    numbers = pd.read_csv(paths.table("examples", "csv")).set_index(["set", "group"])
    assert numbers.loc[("traces", "all"), ["asked", "kept", "left_out", "seconds"]].tolist() == [40, 30, 10, 7.5]


def test_a_set_that_is_gone_stops_a_full_report_and_an_edited_one_outdates_it(graph: Graph) -> None:
    write_results(graph, scores)
    tables(graph)
    made_from = json.loads(Path("results/tables.json").read_text())["made_from"]
    assert paths.examples("traces", "manifest.json") in made_from
    assert paths.examples("traces", "manifest.json") in graph["tables", "all"].inputs
    Path(paths.examples("traces", "manifest.json")).unlink()
    with pytest.raises(MissingError, match=r"examples traces: no manifest\.json"):
        tables(graph)
    tables(graph, partial=True)
    text = Path(paths.table("examples", "md", partial=True)).read_text()
    assert "missing examples traces: no manifest.json" in text
