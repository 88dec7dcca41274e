"""Figures show the estimates, and are the same bytes each time."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from synthetic import make_study, small_study, write_results

from reassess import paths
from reassess.analyse.collect import MissingError, collect
from reassess.analyse.estimates import Estimates
from reassess.analyse.figures import reward, scale
from reassess.analyse.write import figures
from reassess.graph.report import files


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def scores(cell: str, step: int | None, benchmark: str, n: int) -> list[bool | None]:
    k = {"base": 8, "base-think": 12}.get(cell.split("/")[-1], 20) + 8 * ("@20" in cell) - (step or 0) // 10
    return [i < k for i in range(n)]


def test_figures_are_written_and_reproducible() -> None:
    graph = make_study()
    write_results(graph)
    written = {path: Path(path).read_bytes() for path in figures(graph)}
    assert set(written) == set(files(graph.study, "figures"))
    assert {path: Path(path).read_bytes() for path in figures(graph)} == written


def test_scale_figure_shows_the_means() -> None:
    graph = make_study()
    write_results(graph, scores)
    panels = scale.draw(Estimates(collect(graph))).axes
    assert [panel.get_title() for panel in panels] == ["m1", "m2"]
    lines = {line.get_label(): [round(float(y), 6) for y in line.get_ydata()] for line in panels[0].get_lines()}
    assert lines == {
        "sft": [50, 70],
        "sft-grpo": [50, 70],
        "base": [20, 20],
        "base-think": [30, 30],
        "floor": [62.5, 62.5],
    }
    assert panels[0].get_ylabel() == "Visual accuracy (%)"


def test_reward_figure_has_a_panel_per_model_and_recipe_at_the_largest_size() -> None:
    graph = make_study()
    write_results(graph, scores)
    axes = reward.draw(Estimates(collect(graph))).axes
    assert [axis.get_title() for axis in axes if axis.get_title()] == [
        "m1, sft-grpo, 20 examples",
        "m2, sft-grpo, 20 examples",
    ]
    assert axes[0].get_lines()[0].get_xydata().tolist() == [[10, 0.375], [20, 0.875]]
    right = next(axis for axis in axes if axis.get_ylabel() == "Held-out accuracy (%)")
    assert right.get_lines()[0].get_xydata().round(6).tolist() == [[10, 67.5], [20, 65.0]]


def test_partial_figures() -> None:
    graph = make_study()
    write_results(graph)
    shutil.rmtree(paths.evaluation("m1/pool/seed1/sft@20/grpo@20/held-out"))
    shutil.rmtree(paths.evaluation("m1/base/main"))
    with pytest.raises(MissingError, match="m1/base: no scores of suite main"):
        figures(graph)
    assert all(Path(path).is_file() for path in figures(graph, partial=True))
    shutil.rmtree("results")
    assert all(Path(path).stat().st_size > 0 for path in figures(graph, partial=True))


def test_a_study_without_trajectories_and_with_one_size() -> None:
    graph = small_study()
    write_results(graph)
    assert len(figures(graph)) == 5


def test_methods_of_one_size_stand_side_by_side_below_a_legend_that_fits() -> None:
    recipes = {name: {"steps": steps, "label": f"{name} with a name that is rather long"} for name, steps in (
        ("sft", ["sft"]), ("sft-grpo", ["sft", "grpo"]), ("grpo", ["grpo"]), ("again", ["sft", "sft"]))}  # fmt: skip
    graph = make_study(recipes={"base": [], **recipes}, exclude=[{"size": 10, "recipe": ["grpo", "again"]}])
    write_results(graph, scores)
    figure = scale.draw(Estimates(collect(graph)))
    lines = {line.get_label().split()[0]: list(line.get_xdata()) for line in figure.axes[0].get_lines()}
    assert lines["sft"] == lines["sft-grpo"] == [10, 20]
    assert len(lines["grpo"]) == len(lines["again"]) == 1
    assert abs(lines["grpo"][0] / lines["again"][0] - 1) > 0.04
    figure.canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert 0 <= box.x0 <= box.x1 <= figure.bbox.width


def test_reward_and_accuracy_have_one_scale_in_all_panels() -> None:
    recipes = {"base": [], "grpo": {"steps": ["grpo"], "label": "RL alone"}, "sft-grpo": ["sft", "grpo"]}
    graph = make_study(recipes=recipes)
    write_results(graph, scores)
    for model in ("m1", "m2"):
        file = Path(paths.run(f"{model}/pool/seed1/grpo@20", "metrics.jsonl"))
        file.write_text(file.read_text().replace('"reward": ', '"reward": 9'))
    axes = reward.draw(Estimates(collect(graph))).axes
    assert [axis.get_title() for axis in axes if axis.get_title()][:2] == [
        "m1, RL alone, 20 examples", "m1, sft-grpo, 20 examples"
    ]  # fmt: skip
    for name in ("Training reward", "Held-out accuracy (%)"):
        limits = {axis.get_ylim() for axis in axes if axis.get_ylabel() == name}
        assert len(limits) == 1
        (low, high) = limits.pop()
        assert low < high
