"""Other people's results: files as their harnesses write them, with odd rows, read, matched, judged and tabled."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
import yaml

from conftest import ROOT
from reassess import cli, paths
from reassess.analyse.write import tables
from reassess.console.verify import VerifyError, verify
from reassess.data.pool import build_examples
from reassess.evaluate import formats
from reassess.evaluate.formats.vlmevalkit import FAILED
from reassess.evaluate.imported import import_results
from reassess.example import DataError
from reassess.graph import Graph, parse
from reassess.graph.state import States
from reassess.study.read import StudyError

# By id: question, gold and options. Two questions have the same words.
QUIZ: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "a-1": ("How many legs has a spider?", "8", ()),
    "a-2": ("What is 6 times 7?", "42", ()),
    "a-3": ("Which of these is a colour?", "B", ("seven", "red", "loud")),
    "b-1": ("What is it?", "1", ()),
    "b-2": ("What is it?", "2", ()),
    "c-1": ("How many days has a week?", "7", ()),
    "c-2": ("What is half of 9?", "4.5", ()),
    "c-3": ("Which of these is a number?", "A", ("seven", "red", "loud")),
    "c-4": ("How many hours has a day?", "24", ()),
    "c-5": ("How many months has a year?", "12", ()),
}
IDS = list(QUIZ)
GOLDS = {id_: gold for id_, (_, gold, _) in QUIZ.items()}
Study = Callable[..., Graph]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Return a function that makes the tiny study with a quiz, built, and imported results by name."""
    monkeypatch.chdir(tmp_path)

    def make(rows: Iterable[dict[str, Any]] = (), **imported: Any) -> Graph:
        lines = [
            {
                **{"id": id_, "question": question, "gold": gold, "options": list(options)},
                **{"kind": "mcq" if options else "numeric", "source": "quiz"},
            }
            for id_, (question, gold, options) in QUIZ.items()
        ]
        Path("quiz.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*lines, *rows]))
        data = yaml.safe_load((ROOT / "studies" / "tiny.yaml").read_text(encoding="utf-8"))
        source = {"kind": "jsonl", "path": "quiz.jsonl", "licence": "none"}
        data["benchmarks"]["quiz"] = {"modality": "text", "sources": [source], "max_put_aside": 0.5}
        data["imported"] = {
            name: {"files": {"quiz": list(map(str, file)) if isinstance(file, list) else str(file)}}
            for name, file in imported.items()
        }
        graph = parse(data, "mine.yaml")
        if imported:
            build_examples(graph, graph["benchmark", "quiz"])
        return graph

    return make


def read(graph: Graph, name: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Import the results of a name; return their record, the scores by id (of the first sample), and what is aside."""
    import_results(graph, graph["import", name])
    root = Path(paths.imported(name))
    rows = pq.read_table(root / "scores.parquet").to_pylist()
    aside = [json.loads(line) for line in (root / "put_aside.jsonl").read_text().splitlines()]
    return json.loads((root / "scores.json").read_text()), {row["id"]: row for row in reversed(rows)}, aside


def sheet(file: str, rows: Sequence[Sequence[Any]]) -> Path:
    """Write a workbook as pandas does: an empty text is an empty cell."""
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(list(row))
    book.save(file)
    return Path(file)


def lines(file: str, rows: Iterable[dict[str, Any] | str]) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    Path(file).write_text(text, encoding="utf-8")
    return Path(file)


def lm_eval(number: Any, id_: str, said: Any, **more: Any) -> dict[str, Any]:
    """A sample as lm-eval logs it."""
    question, gold, _ = QUIZ[id_]
    return {
        "doc_id": number,
        "doc": {"question": question, "answer": gold},
        "target": gold,
        "arguments": {"gen_args_0": {"arg_0": f"Question: {question}\nAnswer:", "arg_1": {"until": ["\n\n"]}}},
        "resps": said,
        "filtered_resps": ["-"],
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": "1",
        "prompt_hash": "2",
        "target_hash": "3",
        "exact_match": 1.0,
        **more,
    }


def test_a_sheet_of_vlmevalkit_with_odd_rows(study: Study) -> None:
    question = {id_: f"Hint: answer.\nQuestion: {text}\n" for id_, (text, _, _) in QUIZ.items()}
    file = sheet(
        "Model_Quiz.xlsx",
        [
            ["index", "question", "A", "answer", "prediction", "hit", None],
            ["a-1", question["a-1"], None, "8", "It has 8 legs.\n<answer>8</answer>", 1],
            # Excel takes it for a formula.
            ["a-2", question["a-2"], None, "42", "=> The answer is 42.", 1],
            ["a-3", question["a-3"], "seven", "B", None, 0],
            [None, question["b-1"], None, "1", "1", 1],
            ["b-1", question["b-1"], None, "1", f"{FAILED}. ", 0],
            [],
            ["a-1", question["a-1"], None, "8", "9", 0],
            ["z-9", "What is new?", None, "1", "1", 1],
            ["c-1", "How many days has a year?", None, "365", "365", 1],
            ["c-2", question["c-2"], None, 4.5, 4.5, "nan"],
            ["c-3", question["c-3"], "seven", "A", "It is (B).", 1],
            ["c-4", question["c-4"], None, "24", "The answer is 24.", "", "a remark", "beyond the header"],
            ["c-5", None, None, "12", "I think so. " * 3000, True],
        ],
    )
    record, rows, aside = read(study(theirs=file), "theirs")
    facts = record["imported"]["quiz"]
    assert facts["format"] == "VLMEvalKit"
    assert Counter(row["reason"] for row in aside) == {
        "no id": 1,
        "not as many fields as there are columns": 1,
        "a question that is answered above": 1,
        "the benchmark has no question of this id": 1,
        "its question is not that of the benchmark": 1,
    }
    assert {row["id"] for row in aside} == {"Model_Quiz.xlsx:5", "a-1", "z-9", "c-1", "Model_Quiz.xlsx:13"}
    assert (facts["matched"], facts["missing"], facts["unverified"]) == (7, 3, 1)
    assert facts["matched_by"] == "id (index)"
    # What the file lacks is not there: it is neither right nor wrong.
    assert {id_: row["correct"] for id_, row in rows.items()} == {
        **{"a-1": True, "a-2": True, "a-3": False, "b-1": None, "c-2": True, "c-3": False, "c-5": False},
    }
    assert rows["b-1"]["reason"] == "generation failed"
    assert rows["a-3"]["answer"] is None
    assert [id_ for id_, row in rows.items() if row["truncated"]] == ["c-5"]
    assert rows["a-1"]["truncated"] is None
    found = record["scores"]["quiz"]
    assert (found["n"], found["accuracy"], found["failed"]) == (7, pytest.approx(3 / 6), 1)
    assert (found["format"], found["mean_tokens"]) == (None, None)
    # Of a-1, a-2, a-3, c-3 and c-5, both say something; they differ in c-3 and in the text that was cut off.
    assert (facts["own_score"], facts["compared"], facts["differ"]) == ("hit", 5, 2)
    assert facts["own"]["hit"] == pytest.approx(4 / 6)
    differing = [json.loads(line) for line in Path(paths.imported("theirs", "differs.jsonl")).read_text().splitlines()]
    assert {(row["id"], row["correct"], row["theirs"]) for row in differing} == {("c-3", False, 1), ("c-5", False, 1)}


def test_a_table_of_vlmevalkit_with_tabs_and_numbers_for_ids(study: Study) -> None:
    rows = [
        [i, text, gold, f"Let me think.\n\n\\boxed{{{gold}}}", 0.5]
        for i, (text, gold, _) in enumerate(QUIZ.values(), 1)
    ]
    with Path("Model_Quiz.tsv").open("w", newline="", encoding="utf-8-sig") as handle:
        csv.writer(handle, delimiter="\t").writerows([["index", "question", "answer", "prediction", "score"], *rows])
    record, _, aside = read(study(theirs="Model_Quiz.tsv"), "theirs")
    facts = record["imported"]["quiz"]
    assert aside == []
    assert facts["matched_by"] == "row number from 1 (index)"
    assert record["scores"]["quiz"]["accuracy"] == 1.0
    # Half of a point is no verdict.
    assert (facts["own"], facts["compared"]) == ({"score": 0.5}, 0)


def test_samples_of_lm_eval_with_odd_lines(study: Study) -> None:
    rows: list[dict[str, Any] | str] = [
        lm_eval(0, "a-1", [["8", "The answer is 9.", "8"]]),
        lm_eval(1, "a-2", [["42"]], exact_match=float("nan")),
        "{broken",
        '"text"',
        lm_eval(2, "a-3", None, filtered_resps=None),
        lm_eval(None, "b-1", [["1"]]),
        lm_eval(3, "b-1", [["1"]]),
        lm_eval(4, "b-2", [["1"]]),
        lm_eval(5, "c-2", [["4.5"]]),
        lm_eval(6, "c-2", [["4.5"], ["5"]]),
        lm_eval(7, "c-3", [[7]]),
        lm_eval(8, "c-4", [["24"]], finish_reason=["length"]),
        lm_eval(8, "c-4", [["24"]]),
        lm_eval(70, "c-5", [["12"]]),
    ]
    name = "samples_quiz_2026-01-01.jsonl"
    flexible = [row | {"filter": "flexible", "exact_match": 0.0} for row in rows if isinstance(row, dict)]
    record, found, aside = read(study(theirs=lines(name, [*rows, *flexible])), "theirs")
    facts = record["imported"]["quiz"]
    assert facts["format"] == "lm-eval"
    assert facts["matched_by"] == "row number (doc_id)"
    assert {row["id"]: row["reason"] for row in aside} == {
        f"{name}:3": "not JSON",
        f"{name}:4": "not a JSON object",
        "2": "no response",
        f"{name}:6": "no id",
        "5": "its question is not that of the benchmark",
        "6": "several requests for one question",
        "7": "a response is no text",
        "8": "a question that is answered above",
        "70": "the benchmark has no question of this id",
    }
    assert {id_: row["correct"] for id_, row in found.items()} == {
        **{"a-1": True, "a-2": True, "b-1": True, "b-2": False, "c-4": True}
    }
    assert found["c-4"]["truncated"] is True
    # Two of three samples are right.
    assert record["scores"]["quiz"]["accuracy"] == pytest.approx((2 / 3 + 1 + 1 + 0 + 1) / 5)
    assert facts["own"] == {"exact_match,none": 1.0, "exact_match,flexible": 0.0}
    # Of a-1 there are several samples, and NaN is no score.
    assert (facts["own_score"], facts["compared"], facts["differ"]) == ("exact_match,none", 3, 1)


def test_samples_of_lmms_eval(study: Study) -> None:
    rows = [
        {
            "doc_id": i,
            "input": f"<image>\n{text.upper()}\nAnswer with one word.",
            "target": gold,
            "filtered_resps": [gold],
            "doc_hash": "1",
            "quiz_eval": {"question_id": f"x{i}", "answer": gold, "true_false": i != 1},
        }
        for i, (text, gold, _) in enumerate(QUIZ.values())
    ]
    # A filter has cut the reply, so that the reply itself is there too.
    rows[0] |= {"resps": [["It has 8, I think. <answer>8</answer>"]], "filtered_resps": ["It"]}
    record, found, aside = read(study(theirs=lines("20260101_samples_quiz.jsonl", rows)), "theirs")
    facts = record["imported"]["quiz"]
    assert (facts["format"], facts["matched"], facts["missing"], aside) == ("lmms-eval", 10, 0, [])
    assert all(row["correct"] for row in found.values())
    assert facts["own"] == {"quiz_eval.true_false": 0.9}
    assert (facts["compared"], facts["differ"]) == (10, 1)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("samples_quiz.jsonl", b"", "not one line of it is a JSON object"),
        ("samples_quiz.jsonl", b'{"id": 1, "text": "x"}\n', "has not `doc_id` and `resps`"),
        ("Model_Quiz.xlsx", b"PK\x03\x04 cut off", "not a readable workbook"),
        ("Model_Quiz.xlsx", b"", "not a readable workbook"),
        ("Model_Quiz.tsv", b"", "not one row of it can be used (it has none)"),
        ("Model_Quiz.tsv", b"index\tquestion\n1\t2\n", "no column 'prediction'"),
        ("Model_Quiz.tsv", b"index\tprediction\n1\t\xff\xfe\n", "can't decode byte 0xff"),
        ("Model_Quiz.tsv", b"index\tprediction\n", "not one row of it can be used (it has none)"),
        (
            "Model_Quiz.tsv",
            b"index\tprediction\n\t8\n",
            "can be used (the first: Model_Quiz.tsv:2, no id)",
        ),
        ("Model_Quiz.pkl", b"x", "not a file of responses that is known"),
    ],
)
def test_a_file_that_cannot_be_one_is_one_clear_error(study: Study, name: str, content: bytes, said: str) -> None:
    Path(name).write_bytes(content)
    graph = study(theirs=name)
    with pytest.raises(DataError) as error:
        import_results(graph, graph["import", "theirs"])
    assert str(error.value).startswith(f"{name}:")
    assert said in str(error.value)
    assert not Path(graph["import", "theirs"].record).exists()


@pytest.mark.parametrize(
    ("said", "first"),
    [
        ([[["-1.5", "False"]], [["-2.5", "True"]]], {"arg_0": "Q", "arg_1": " seven"}),
        ([[["-1.5", "False"]]], None),
        ([["-123.5"]], {"arg_0": "Q"}),
    ],
)
def test_log_likelihoods_are_refused(study: Study, said: Any, first: Any) -> None:
    arguments = {"gen_args_0": first} if first else [["Q", " seven"]]
    graph = study(theirs=lines("samples_quiz.jsonl", [lm_eval(0, "a-3", said, arguments=arguments)]))
    with pytest.raises(DataError, match=r"^samples_quiz\.jsonl:1: log-likelihoods of given answers"):
        import_results(graph, graph["import", "theirs"])


def test_a_damaged_part_of_a_sheet_is_one_clear_error(study: Study) -> None:
    import zipfile

    sheet("whole.xlsx", [["index", "prediction"], ["a-1", "8"]])
    with zipfile.ZipFile("whole.xlsx") as whole, zipfile.ZipFile("broken.xlsx", "w") as broken:
        for name in whole.namelist():
            data = whole.read(name)
            broken.writestr(name, data[: len(data) // 2] if name.endswith("sheet1.xml") else data)
    graph = study(theirs="broken.xlsx")
    with pytest.raises(DataError, match=r"^broken\.xlsx: not a readable workbook"):
        import_results(graph, graph["import", "theirs"])


def test_options_in_another_order_are_not_judged(study: Study) -> None:
    rows = [lm_eval(i, id_, [[gold]]) for i, (id_, (_, gold, _)) in enumerate(QUIZ.items())]
    rows[2] |= {"target": "(C)", "resps": [["(C)"]]}
    rows[7] |= {"target": "(A)"}
    record, found, aside = read(study(theirs=lines("samples_quiz.jsonl", rows)), "theirs")
    assert [(row["id"], row["reason"]) for row in aside] == [("2", "its right option has another letter")]
    assert (found["c-3"]["correct"], record["imported"]["quiz"]["missing"]) == (True, 1)


def test_the_parts_of_a_task_are_several_files(study: Study) -> None:
    rows = [lm_eval(i % 4, id_, [[gold]]) for i, (id_, (_, gold, _)) in enumerate(QUIZ.items())]
    for row, id_ in zip(rows, IDS, strict=True):
        row["doc"]["question_id"] = id_
    parts = [lines(f"samples_quiz_{i}.jsonl", part) for i, part in enumerate((rows[:4], rows[4:], rows[3:5]))]
    graph = study(theirs=parts)
    record, found, aside = read(graph, "theirs")
    facts = record["imported"]["quiz"]
    assert (facts["matched"], facts["matched_by"], list(facts["files"])) == (
        10,
        "id (question_id)",
        list(map(str, parts)),
    )
    assert all(row["correct"] for row in found.values())
    assert [(row["id"], row["source"]) for row in aside] == [(f"{parts[2]}:{i}", str(parts[2])) for i in (1, 2)]
    assert set(map(str, parts)) < set(graph["import", "theirs"].inputs)


def test_the_file_of_another_benchmark_is_refused(study: Study) -> None:
    rows = [[id_, f"Another question, number {id_}?", "1"] for id_ in IDS]
    rows[0][1] = QUIZ["a-1"][0]
    graph = study(theirs=sheet("Model_Other.xlsx", [["index", "question", "prediction"], *rows]))
    with pytest.raises(DataError, match="these are not the rows of quiz as this study has them: 1 of 10 match, by id"):
        import_results(graph, graph["import", "theirs"])


def test_the_table_has_both_scores_and_the_missing(study: Study) -> None:
    rows = [[id_, text, gold if id_ != "a-2" else "0", 1] for id_, (text, gold, _) in QUIZ.items()][:8]
    file = sheet("Model_Quiz.xlsx", [["index", "question", "prediction", "hit"], *rows])
    graph = study(theirs=file, unread=file)
    import_results(graph, graph["import", "theirs"])
    tables(graph, partial=True)
    text = Path(paths.table("imported", "md", partial=True)).read_text()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "| accuracy" in line]
    assert [row[-1].partition(" ")[0] for row in cells if row[0] == "theirs"] == ["87.5"]
    assert re.search(r"\| their own score +\|.*\| +100\.0¹ \|", text)
    assert "- ¹ hit of VLMEvalKit" in text
    assert "missing imported unread" in text
    numbers = list(csv.DictReader(Path(paths.table("imported", "csv", partial=True)).read_text().splitlines()))
    mine = {row["measure"]: row for row in numbers if row["method"] == "theirs"}
    assert float(mine["accuracy, judged here"]["mean"]) == pytest.approx(7 / 8)
    assert float(mine["accuracy, judged here"]["lo"]) < 7 / 8 < float(mine["accuracy, judged here"]["hi"])
    assert (float(mine["questions"]["mean"]), float(mine["missing"]["mean"])) == (8, 2)
    assert (float(mine["verdicts that differ"]["mean"]), int(mine["verdicts that differ"]["n"])) == (1, 8)


def test_a_study_without_results_of_others_is_what_it_was(study: Study, tiny: Graph) -> None:
    with_them = study(theirs=sheet("Model_Quiz.xlsx", [["index", "prediction"], ["a-1", "8"]]))
    for rule, suffix in (("tables", "imported.md"), ("tables", "imported.csv")):
        assert any(file.endswith(suffix) for file in with_them[rule, "all"].outputs)
        assert not any(file.endswith(suffix) for file in tiny[rule, "all"].outputs)
    assert study()["tables", "all"].spec == tiny["tables", "all"].spec
    assert with_them["tables", "all"].spec != tiny["tables", "all"].spec
    assert "import theirs" in with_them["tables", "all"].needs


def test_they_are_verified_and_outdated_with_their_benchmark(study: Study) -> None:
    rows = [[id_, text, gold] for id_, (text, gold, _) in QUIZ.items()]
    file = sheet("Model_Quiz.xlsx", [["index", "question", "prediction"], *rows])
    graph = study(theirs=file)
    job = graph["import", "theirs"]
    assert States(graph).of(job) == "missing"
    import_results(graph, job)
    assert States(graph).of(job) == "done"
    spoken: list[str] = []
    with pytest.raises(VerifyError, match="0 do not match"):
        verify(graph, spoken.append)
    Path(paths.imported("theirs", "differs.jsonl")).write_text("{}\n")
    sheet(str(file), [["index", "question", "prediction"], *rows[:5]])
    with pytest.raises(VerifyError, match="1 do not match"):
        verify(graph, spoken.append)
    assert any("sha256 of differs.jsonl" in line for line in spoken)
    assert any("sha256 of Model_Quiz.xlsx" in line for line in spoken)
    other = study([{"id": "d", "question": "New?", "gold": "1", "kind": "numeric", "source": "quiz"}], theirs=file)
    assert States(other).of(other["import", "theirs"]) == "outdated"


def test_whose_results_they_are_judges_nothing_again(study: Study) -> None:
    Path("x.tsv").touch()
    data = yaml.safe_load((ROOT / "studies" / "tiny.yaml").read_text(encoding="utf-8"))
    theirs = {"files": {"toy-id": "x.tsv"}}
    one, other = (parse(data | {"imported": {"theirs": theirs | {"by": by}}}, "mine.yaml") for by in ("me", "you"))
    assert one["import", "theirs"].spec == other["import", "theirs"].spec
    assert one["tables", "all"].spec != other["tables", "all"].spec


def test_mistakes_in_the_study_are_named(study: Study) -> None:
    with pytest.raises(StudyError, match=r"imported\.theirs\.files\.quiz\.0: no such file: 'nowhere\.xlsx'"):
        study(theirs="nowhere.xlsx")
    data = yaml.safe_load((ROOT / "studies" / "tiny.yaml").read_text(encoding="utf-8"))
    Path("x.tsv").touch()
    with pytest.raises(StudyError, match=r"imported\.theirs\.files: unknown benchmark 'toy-di'; did you mean toy-id\?"):
        parse(data | {"imported": {"theirs": {"files": {"toy-di": "x.tsv"}}}}, "mine.yaml")
    data["benchmarks"]["toy-id"]["circular"] = True
    with pytest.raises(StudyError, match=r"imported\.theirs\.files\.toy-id: is asked in rotations here"):
        parse(data | {"imported": {"theirs": {"files": {"toy-id": "x.tsv"}}}}, "mine.yaml")


def test_the_command_says_what_was_read(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [[id_, text, gold] for id_, (text, gold, _) in QUIZ.items()]
    graph = study(theirs=sheet("Model_Quiz.xlsx", [["index", "question", "prediction"], *rows]))
    Path("mine.json").write_text(graph.study.model_dump_json())
    assert cli.main(["import", "theirs", "--study", "mine.json"]) == 0
    said = capsys.readouterr().out
    assert "theirs quiz: Model_Quiz.xlsx is of VLMEvalKit" in said
    assert "10 questions matched by id (index), 0 missing, 0 rows put aside; VLMEvalKit: no score of its own" in said
    sheet("Model_Quiz.xlsx", [["index", "question"], ["a-1", "What?"]])
    assert cli.main(["import", "theirs", "--study", "mine.json"]) == 1
    assert "reassess: Model_Quiz.xlsx: no column 'prediction'" in capsys.readouterr().err


def test_a_format_is_told_from_keys(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    for keys, name in (({"arguments": []}, "lm-eval"), ({"input": ""}, "lmms-eval")):
        file.write_text("not JSON\n" + json.dumps({"doc_id": 0, "filtered_resps": ["x"], **keys}))
        assert formats.recognise(file).name == name
