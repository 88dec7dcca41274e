"""Tables from synthetic results, against numbers worked out by hand."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic import Said, csv, edit_json, first, make_study, row, small_study, write_results

from reassess import paths
from reassess.analyse.collect import MissingError, ResultsError, collect
from reassess.analyse.latex import escape, latex
from reassess.analyse.layout import Block, Entry, Table, markdown
from reassess.analyse.write import tables
from reassess.console.show import summary
from reassess.graph.report import files
from reassess.graph.report import tables as names
from reassess.work.records import RecordError


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_measures_by_hand() -> None:
    loss = {"kind": "nll", "on": "pool"}
    graph = small_study(seeds=[1, 3], measures={"loss": loss, "start": {**loss, "on": "vis-a", "recipes": ["base"]}})
    write_results(graph)
    tables(graph)
    # Every other example has a half more; the seeds have 1 and 3.
    assert row("measures", "base")[:3] == ["—", "2.2500 [2.0000, 2.5000]", "11.5"]
    assert row("measures", "base")[3] == row("measures", "base")[1]
    assert row("measures", "sft")[0] == "10"
    assert row("measures", "sft")[1].startswith("2.2500 [1.")
    assert row("measures", "sft")[2:] == ["11.5", "—", "—"]
    found = csv("measures").set_index(["method", "column", "measure"])
    assert found.loc[("sft", "loss", "nll"), ["mean", "n", "seeds"]].tolist() == [2.25, 4, 2]
    assert found.loc[("base", "start", "tokens"), ["mean", "n", "seeds"]].tolist() == [11.5, 4, 1]
    assert ("sft", "start", "nll") not in found.index
    text = Path(paths.table("measures", "md")).read_text()
    assert "base-think" not in text
    assert "loss: nll on pool, nats per token, mean over 4 examples; put aside: m1 2 (no rationale)." in text
    # One of two seeds is enough for a number, with a mark.
    shutil.rmtree(paths.measure("m1/pool/seed3/sft@10/loss"))
    with pytest.raises(MissingError, match="no values of measure loss"):
        tables(graph)
    tables(graph, partial=True)
    assert row("measures", "sft", partial=True)[1].startswith("1.2500¹ [")
    assert "without loss of m1/pool/seed3/sft@10" in Path(paths.table("measures", "md", partial=True)).read_text()
    assert "measures" not in names(small_study().study)


def test_capacity_by_hand() -> None:
    graph = small_study()
    write_results(graph, first({"base": 10, "base-think": 12, "sft": 30}))
    tables(graph)
    # Of the even items 15 of 20 have gold 7, of the odd ones 10 of 20: 25 of 40.
    assert row("capacity", "floor")[:3] == ["62.5", "62.5", "—"]
    base, sft = row("capacity", "base"), row("capacity", "sft")
    assert base[0].split()[0] == "25.0"
    assert base[2:] == ["—", "0 (0.0%)", "2 (5.0%)", "1 (2.5%)"]
    assert sft[0].startswith("**75.0** ±")
    assert re.fullmatch(r"\*\*75\.0\*\* \[\d\d\.\d, \d\d\.\d\]", sft[1])
    assert re.fullmatch(r"\+50\.0 \[\+\d\d\.\d, \+\d\d\.\d\]", sft[2])
    assert row("capacity", "base-think")[2].startswith("+5.0 [")
    assert Path(paths.table("capacity", "md")).read_text().count("**75.0**") == 2
    numbers = csv("capacity").set_index(["method", "column", "measure"])
    delta = numbers.loc["sft", "visual mean", "delta to base"]
    assert (delta["mean"], delta["n"], delta["seeds"]) == (0.5, 40, 1)
    assert delta["lo"] < 0.5 < delta["hi"]
    accuracy = numbers.loc["sft", "vis-a", "accuracy"]
    assert (accuracy["mean"], accuracy["unparsed"], accuracy["truncated"]) == (0.75, 2, 1)


def test_the_floor_is_bold_where_it_is_best_and_ties_share() -> None:
    graph = small_study()
    write_results(graph, first({"sft": 25, "base": 3}))
    tables(graph)
    assert row("capacity", "floor")[0] == "**62.5**"
    assert row("capacity", "sft")[0].startswith("**62.5** ±")
    assert "*" not in row("capacity", "base")[0]


def test_a_template_that_opens_the_thought_itself_is_noted() -> None:
    graph = small_study()
    write_results(graph)
    tables(graph)
    assert "repeats base" not in Path(paths.table("scale", "md")).read_text()
    for suite in graph.study.suites:
        edit_json(paths.evaluation(f"m1/base/{suite}", "scores.json"), prefill="<think>\n")
    tables(graph)
    for name in ("scale", "capacity", "families"):
        text = Path(paths.table(name, "md")).read_text()
        assert "base-think of m1 repeats base: the chat template opens the thought." in text


def test_unscored_is_neither_wrong_nor_hidden() -> None:
    graph = small_study()

    def scores(cell: str, step: int | None, benchmark: str, n: int) -> list[bool | None]:
        return [None] * 10 + [True] * 15 + [False] * 15 if cell.endswith("sft@10") else [False] * n

    write_results(graph, scores)
    tables(graph)
    assert row("capacity", "sft")[0].startswith("50.0 ±")
    assert row("capacity", "sft")[3] == "10 (25.0%)"
    numbers = csv("capacity").set_index(["method", "column", "measure"]).loc["sft"]
    assert numbers.loc[("visual mean", "delta to base"), ["mean", "n", "unscored"]].tolist() == [0.5, 30, 10]


def test_a_missing_cell_stops_a_full_report_and_is_a_dash_in_a_partial_one(capsys: pytest.CaptureFixture[str]) -> None:
    graph = make_study()
    write_results(graph)
    for seed in (1, 2):
        shutil.rmtree(paths.evaluation(f"m1/pool/seed{seed}/sft@20/main"))
    shutil.rmtree(paths.evaluation("m2/pool/seed2/sft@20/main"))
    with pytest.raises(MissingError, match=r"m1/pool/seed1/sft@20: no scores of suite main"):
        tables(graph)
    assert not Path(paths.table("capacity", "md")).exists()

    assert paths.table("capacity", "md", partial=True) in tables(graph, partial=True)
    assert "m2/pool/seed2/sft@20: no scores of suite main" in capsys.readouterr().out
    assert row("capacity", "sft", partial=True)[:5] == ["—¹"] * 5
    assert re.match(r"[\d.]+² ±", row("capacity", "sft", partial=True, block="### m2")[0])
    text = Path(paths.table("capacity", "md", partial=True)).read_text()
    both = "missing m1/pool/seed1/sft@20: no scores of suite main; m1/pool/seed2/sft@20: no scores of suite main"
    assert f"- ¹ {both}" in text
    assert "- ² without m2/pool/seed2/sft@20: no scores of suite main" in text
    numbers = csv("capacity", partial=True).set_index(["model", "method", "column", "measure"])
    assert pd.isna(numbers.loc[("m1", "sft", "vis-a", "accuracy"), "mean"])
    assert numbers.loc[("m2", "sft", "vis-a", "accuracy"), "seeds"] == 1
    assert numbers.loc[("m1", "sft-grpo", "vis-a", "accuracy"), "seeds"] == 2


def test_a_partial_report_of_nothing_is_dashes() -> None:
    graph = make_study()
    tables(graph, partial=True)
    assert row("capacity", "floor", partial=True)[0] == "—¹"
    assert all(entry.startswith("—") for name in ("base", "sft") for entry in row("capacity", name, partial=True))


def test_a_benchmark_added_to_a_suite_is_missing_until_it_is_answered() -> None:
    graph = small_study()
    write_results(graph)
    extra = {"sources": [{"kind": "toy", "n": 40, "split": "test", "seed": 9}]}
    more = {**graph.study.model_dump(mode="json")["benchmarks"], "extra": extra}
    grown = small_study(benchmarks=more, suites={"main": {"benchmarks": ["vis-a", "extra"]}})
    with pytest.raises(MissingError, match="m1/base: no scores of benchmark extra in suite main"):
        tables(grown)
    tables(grown, partial=True)
    columns = row("capacity", "sft", partial=True)
    assert columns[0][0].isdigit()
    assert columns[1] == columns[2]  # no mean over fewer benchmarks
    assert columns[1].startswith("—")


def test_scale_and_transfer_by_hand() -> None:
    graph = make_study()

    def scores(cell: str, step: int | None, benchmark: str, n: int) -> list[bool | None]:
        k = {"base": 8, "base-think": 12}.get(cell.split("/")[-1], 20)
        k += 8 * ("@20" in cell) + 4 * (benchmark == "txt")
        return [i < k for i in range(n)]

    write_results(graph, scores)
    tables(graph)
    numbers = csv("scale").query("model == 'm1' and method == 'sft'").set_index(["size", "measure"])["mean"]
    assert numbers.round(6).to_dict() == {
        (10, "accuracy"): 0.5,
        (10, "delta to base"): 0.3,
        (10, "delta to base-think"): 0.2,
        (20, "accuracy"): 0.7,
        (20, "delta to base"): 0.5,
        (20, "delta to base-think"): 0.4,
    }
    sft = row("transfer", "sft")
    assert sft[0] == "10"
    assert [entry.split()[0] for entry in sft[1:]] == ["50.0", "+30.0", "60.0", "+30.0"]


def test_families_by_hand() -> None:
    graph = small_study()
    # Even items are family f0: the base has them all right, and no others.
    write_results(graph, lambda cell, step, benchmark, n: [i % 2 == 0 for i in range(n)])
    tables(graph)
    numbers = csv("families").query("method == 'base'").set_index("group")
    assert numbers.loc[["f0", "f1"], ["mean", "n"]].to_numpy().tolist() == [[1, 20], [0, 20]]
    # Difficulty 1 are items 0, 3, ..., 39, of which 0, 6, ..., 36 are even.
    assert numbers.loc["difficulty 1", ["mean", "n"]].tolist() == [0.5, 14]
    floor = csv("families").query("method == 'floor'").set_index("group")["mean"]
    assert floor[["f0", "f1"]].tolist() == [0.75, 0.5]


def lengths_by_hand(cell: str, benchmark: str, item: int) -> Said:
    """The base says 10 tokens and once 50, cut; SFT says 20 where it is right (i < 30), else 60; item 39 failed."""
    if cell.endswith("base"):
        return Said(50, truncated=True, format_ok=False) if item == 0 else Said(10)
    if cell.endswith("sft@10"):
        return Said(0, format_ok=None) if item == 39 else Said(20 if item < 30 else 60)
    return Said(1200)


def test_lengths_by_hand() -> None:
    graph = small_study()
    correct = first({"base": 10, "base-think": 40, "sft": 30})

    def scores(cell: str, step: int | None, benchmark: str, n: int) -> list[bool | None]:
        found = correct(cell, step, benchmark, n)
        return [*found[:39], None] if cell.endswith("sft@10") else found

    write_results(graph, scores, lengths=lengths_by_hand)
    tables(graph)
    rows = {line[0]: line[1:] for line in (row("lengths", "vis-a", at=at) for at in range(3))}
    # The base: 40 tokens more in item 0, which is right, of 40 and of 10.
    assert rows["base"] == ["11.0", "14.0", "10.0", "—", "1 (2.5%)", "39 (97.5%)"]
    # No answer of base-think is wrong. Item 39 has no length in SFT: 30 right, 9 wrong.
    assert rows["base-think"][:3] == ["1,200.0", "1,200.0", "—¹"]
    assert rows["base-think"][3].startswith("+1,189.0 [+1,18")
    assert "- ¹ no wrong response" in Path(paths.table("lengths", "md")).read_text()
    assert rows["sft"][:3] == ["29.2", "20.0", "60.0"]
    assert rows["sft"][4:] == ["0 (0.0%)", "39 (100.0%)"]
    numbers = csv("lengths").set_index(["method", "measure"])
    assert list(numbers.columns) == ["model", "pool", "size", "column", "mean", "lo", "hi", "n", "seeds"]
    # Of 39 pairs one is -30, 29 are +10 and 9 are +50.
    delta = numbers.loc["sft", "delta tokens to base"]
    assert delta["mean"] == pytest.approx((-30 + 29 * 10 + 9 * 50) / 39)
    assert delta[["n", "seeds"]].tolist() == [39, 1]
    assert 10 < delta["lo"] < delta["mean"] < delta["hi"] < 30
    assert numbers.loc[("sft", "in format"), ["mean", "n"]].tolist() == [1, 39]
    assert numbers.loc[("base", "truncated"), ["mean", "n"]].tolist() == [0.025, 40]


def test_lengths_are_paired_and_averaged_over_seeds_and_benchmarks() -> None:
    graph = make_study()

    def lengths(cell: str, benchmark: str, item: int) -> Said:
        longer = 10 * ("seed2" in cell) + 20 * (benchmark == "vis-b") if "sft" in cell else 0
        return Said(100 * item + longer + 5 * ("grpo" in cell))

    write_results(graph, lengths=lengths)
    tables(graph)
    found = csv("lengths").query("model == 'm1' and measure == 'delta tokens to base'")
    numbers = found.set_index(["method", "column"])
    # Items differ by hundreds of tokens and pairs do not: what is left of the interval are the seeds, 0 and 10 apart.
    assert numbers.loc[("sft", "vis-a"), ["mean", "lo", "hi", "n", "seeds"]].tolist() == [5, 0, 10, 40, 2]
    assert numbers.loc[("sft", "visual mean"), ["mean", "lo", "hi", "n"]].tolist() == [15, 10, 20, 80]
    assert numbers.loc[("sft-grpo", "visual mean"), ["mean", "lo", "hi"]].tolist() == [20, 15, 25]
    assert numbers.loc[("base-think", "txt"), ["mean", "lo", "hi"]].tolist() == [0, 0, 0]
    assert "Visual mean: vis-a, vis-b" in Path(paths.table("lengths", "md")).read_text()


def test_cost_cumulates_over_the_lineage_and_averages_over_seeds() -> None:
    graph = make_study()
    write_results(graph)
    tables(graph)
    numbers = csv("cost").query("model == 'm1'").set_index("lineage")
    both = numbers.loc["sft@20/grpo@20"]
    # Samples are 20 for seed 1 and 40 for seed 2, in either stage.
    assert (both["samples"], both["lineage_samples"], both["lineage_seconds"]) == (30, 60, 200)
    assert (both["flops"], both["lineage_flops"]) == (1e12, 2e12)
    assert numbers.loc["sft@20", "lineage_samples"] == 30
    assert row("cost", "sft@20/grpo@20")[0] == "30 (Σ 60)"


def test_reward_against_accuracy() -> None:
    graph = make_study()

    def scores(cell: str, step: int | None, benchmark: str, n: int) -> list[bool | None]:
        fallen = step == 20 and cell.startswith("m1/")
        return [i < (10 if fallen else 30) for i in range(n)]

    write_results(graph, scores)
    # A resumed run logged step 15 twice; the later line counts. A line without a reward is none of GRPO's.
    log = Path(paths.run("m1/pool/seed1/sft@10/grpo@10")) / "metrics.jsonl"
    log.write_text('{"step": 15, "reward": 99.0}\n' + log.read_text() + '{"step": 20, "train_loss": 0.1}\n')
    tables(graph)
    numbers = csv("reward").query("size == 10").set_index(["model", "point"])
    # Logged at steps 5, 10, 15, 20 with reward step / 20.
    assert numbers["reward"].tolist() == [0.375, 0.875] * 2
    assert numbers["rewards/accuracy/mean"].tolist() == [0.1875, 0.4375] * 2
    assert numbers["step"].tolist() == [10, 20] * 2
    assert numbers.loc[("m1", 2), ["mean", "change_mean", "seeds", "diverges"]].tolist() == [0.25, -0.5, 2, True]
    assert numbers.loc[("m2", 2), ["mean", "change_mean", "seeds", "diverges"]].tolist() == [0.75, 0, 2, False]
    assert Path(paths.table("reward", "md")).read_text().count(" yes ") == 2


def test_a_study_without_trajectories_says_so() -> None:
    graph = small_study()
    write_results(graph)
    tables(graph)
    assert "No stage of RL of this study keeps a trajectory." in Path(paths.table("reward", "md")).read_text()


def test_a_trajectory_suite_may_be_of_some_sizes() -> None:
    suites = make_study().study.model_dump(mode="json")["suites"]
    suites["held-out"]["sizes"] = [20]
    graph = make_study(suites=suites)
    write_results(graph)
    tables(graph)
    assert set(csv("reward")["size"]) == {20}
    assert not Path(paths.evaluation("m1/pool/seed1/sft@10/grpo@10/held-out")).exists()


def test_a_table_says_how_its_responses_were_drawn_where_not_plainly_greedily() -> None:
    suites = make_study().study.model_dump(mode="json")["suites"]
    suites["main"]["decoding"] = {"temperature": 0.6, "top_k": 20, "stop": ["</answer>", "\n\n"], "max_tokens": 64}
    graph = make_study(suites=suites)
    write_results(graph)
    tables(graph)
    said = 'Decoding, where not plainly greedy: main temperature 0.6, top_k 20, stop ["\\</answer>", "\\\\n\\\\n"].'
    assert said in Path(paths.table("capacity", "md")).read_text()


def test_every_table_says_what_it_rests_on_and_is_the_same_each_time() -> None:
    graph = make_study()
    write_results(graph)
    written = {path: Path(path).read_bytes() for path in tables(graph)}
    assert set(written) == set(files(graph.study, "tables"))
    line = "Items: vis-a 40, vis-b 40, txt 40. Seeds: 1, 2. 200 bootstrap resamples"
    assert line in written[paths.table("capacity", "md")].decode()
    assert "Judge version 1. Engine: transformers 5.16." in written[paths.table("capacity", "tex")].decode()
    assert {path: Path(path).read_bytes() for path in tables(graph)} == written


def test_a_recipe_without_the_largest_size_is_marked() -> None:
    graph = make_study(exclude=[{"recipe": "sft-grpo", "size": 20}])
    write_results(graph)
    tables(graph)
    text = Path(paths.table("capacity", "md")).read_text()
    assert "| sft-grpo¹ " in text
    assert "- ¹ at 10 examples, its largest size" in text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scores.parquet", "no parquet", r"main/scores.parquet: cannot be read"),
        ("scores.json", "{", r"main/scores.json: cannot be read"),
        ("scores.json", "{}", r"main/scores.json: has no `spec`"),
    ],
)
def test_a_broken_file_is_named(name: str, content: str, message: str) -> None:
    graph = small_study()
    write_results(graph)
    Path(paths.evaluation("m1/base/main"), name).write_text(content)
    with pytest.raises((ResultsError, RecordError), match=message):
        tables(graph, partial=True)


def test_collected_frames() -> None:
    graph = make_study()
    write_results(graph, n=8)
    collected = collect(graph)
    items, trajectory = collected.items, collected.trajectory
    # Two models x (2 controls + 2 recipes x 2 sizes x 2 seeds) x 3 benchmarks x 8 items.
    assert len(items) == 2 * 10 * 3 * 8
    assert set(items.loc[items["size"].isna(), "recipe"]) == {"base", "base-think"}
    assert items.groupby("benchmark", observed=True)["modality"].unique().map(list).to_dict() == {
        "vis-a": ["visual"],
        "vis-b": ["visual"],
        "txt": ["text"],
    }
    one = trajectory[trajectory["cell"] == "m2/pool/seed2/sft@20/grpo@20"]
    assert one[["recipe", "size", "seed"]].drop_duplicates().to_numpy().tolist() == [["sft-grpo", 20, 2]]
    assert one[["step", "point"]].drop_duplicates().to_numpy().tolist() == [[10, 1], [20, 2]]
    assert collected.missing == ()


def test_summary_shows_the_capacity_table() -> None:
    graph = small_study()
    assert "no tables yet" in summary(graph)
    write_results(graph)
    tables(graph)
    assert Path(paths.table("capacity", "md")).read_text() in summary(graph)
    assert "results/tables/ (capacity scale transfer families lengths cost sampling reward; csv, md, tex)" in summary(
        graph
    )


def test_summary_imports_nothing_heavy() -> None:
    code = "import sys, reassess.console.show; print({'pandas', 'matplotlib', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def awkward() -> Table:
    """Every character that LaTeX or Markdown would take for its own."""
    entries = [Entry(r"a_b & 50% #1 {x} ~^\ $5 <i> |p| \"q\"", mark=1), Entry("1.0", "[0.5, 1.5]", bold=True)]
    dash = [Entry("[opt] — − × Δ Σ"), Entry("—")]
    table = Table(
        "awkward", "Caption with 100% & more_", ["Name_x", "± %"], [Block("block_1 #", [entries, dash])], ["n_1"]
    )
    table.mark("foot_note & co")
    return table


def test_latex_escapes() -> None:
    assert escape("a_b & 50% #1 {x}") == r"a\_b \& 50\% \#1 \{x\}"
    assert escape("\\~^") == r"\textbackslash{}\textasciitilde{}\textasciicircum{}"
    text = latex(awkward())
    assert r"\textbf{1.0} [0.5, 1.5] \\" in text
    assert r"\textsuperscript{1} foot\_note \& co\par" in text
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in rows] == [1, 1, 1]
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")


def test_a_long_table_becomes_one_float_per_block() -> None:
    long = [[Entry("x"), Entry("1")] for _ in range(30)]
    table = Table("long", "Long", ["a", "b"], [Block("m1", long), Block("m2", long)])
    assert re.findall(r"\\label\{(.*?)\}", latex(table)) == ["tab:long-1", "tab:long-2"]


def test_markdown_escapes() -> None:
    text = markdown(awkward())
    assert r"\|p\|" in text
    assert "**1.0** [0.5, 1.5]" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {3}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles() -> None:
    graph = make_study()
    write_results(graph)
    shutil.rmtree(paths.evaluation("m1/pool/seed1/sft@20/main"))
    tables(graph, partial=True)
    Path("awkward.tex").write_text(latex(awkward()))
    files = [paths.table(name, "tex", partial=True) for name in names(graph.study)]
    body = "\n".join(rf"\input{{{file}}}\clearpage" for file in [*files, "awkward.tex"])
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    Path("main.tex").write_text(document)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_level_of_any_size_is_tabled() -> None:
    graph = small_study()
    write_results(graph)
    for file in Path("results/evals").rglob("scores.parquet"):
        table = pq.read_table(file)
        large = pa.array([3_000_000_000 + i % 2 for i in range(len(table))])
        pq.write_table(table.set_column(table.schema.get_field_index("difficulty"), "difficulty", large), file)
    tables(graph)
    assert set(csv("families")["group"]) >= {"difficulty 3000000000", "difficulty 3000000001"}


def test_a_seed_of_any_size_is_tabled() -> None:
    graph = small_study(seeds=[2**32 - 1])
    write_results(graph, first({"sft": 20}))
    tables(graph)
    assert row("capacity", "sft")[0].split()[0] == "50.0"
