import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from sparsewatch.detectors.outrank.pairs.pairwise import PairScores
from sparsewatch.detectors.outrank.pairs.twins import dendrogram
from sparsewatch.pipelines.rank.report import pictures
from sparsewatch.pipelines.report.pictures import FORMATS, save_picture, svg
from sparsewatch.schemas.errors import ConfigError
from tests.kit.rank_results import rank_result, ranked_feature, scored_result

_BEGINNINGS = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}


def _pairs(n: int) -> PairScores:
    matrix = np.full((n, n), 0.25)
    np.fill_diagonal(matrix, 1.0)
    return PairScores(tuple(f"f{i}" for i in range(n)), "redundancy", matrix)


@pytest.mark.parametrize("image_format", FORMATS)
def test_pictures_have_the_names_of_the_public_tool(image_format: str, tmp_path: Path) -> None:
    ranking = [ranked_feature(i, f"f{i}", 1 / i) for i in range(1, 13)]
    paths = pictures.write_pictures(rank_result(ranking=ranking), tmp_path / "new", image_format)
    names = ("barplot_top_10", "barplot_top_12", "heatmap", "dendrogram_complete")
    assert [path.name for path in paths] == [f"{name}.{image_format}" for name in names]
    assert all(path.read_bytes().startswith(_BEGINNINGS[image_format]) for path in paths)


def test_without_pairs_there_are_bars_only(tmp_path: Path) -> None:
    assert [path.name for path in pictures.write_pictures(scored_result(), tmp_path)] == ["barplot_top_2.svg"]


def test_without_features_there_is_no_picture(tmp_path: Path) -> None:
    assert pictures.write_pictures(scored_result(ranking=[]), tmp_path) == []


def test_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    first = pictures.write_pictures(rank_result(), tmp_path / "a")
    second = pictures.write_pictures(rank_result(), tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_rows_of_the_heat_map_are_the_leaves_of_the_tree() -> None:
    pairs = rank_result().pairs
    assert pairs is not None
    leaves = dendrogram(pairs).leaves
    axes = pictures.heat_map(pairs).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == leaves
    place = [pairs.names.index(name) for name in leaves]
    np.testing.assert_array_equal(axes.images[0].get_array(), pairs.matrix[np.ix_(place, place)].clip(0, 1))
    tree = pictures.tree_plot(pairs).axes[0]
    assert [label.get_text() for label in tree.get_yticklabels()] == leaves


def test_bars_stand_for_scores_and_whiskers_for_standard_errors() -> None:
    result = rank_result()
    axes = pictures.bar_plot(result, 3).axes[0]
    assert [bar.get_width() for bar in axes.containers[1]] == [one.score for one in result.ranking[:3]]
    whisker = axes.containers[1].errorbar.lines[2][0].get_segments()[0]
    assert whisker[:, 0] == pytest.approx([0.123, 0.127])


@pytest.mark.parametrize("n", [10, 50, 200, 500])
def test_text_of_a_row_fits_into_the_row(n: int) -> None:
    row, points = pictures._row(n)
    assert points / 72 < row
    assert points >= 3.5


def test_a_heat_map_is_of_the_best_features_at_most() -> None:
    n = pictures.MOST_PAIRS + 20
    ranking = [ranked_feature(i + 1, f"f{n - 1 - i}", 1.0 - i / n) for i in range(n)]
    kept = pictures.best_pairs(rank_result(pairs=_pairs(n), ranking=ranking))
    assert kept is not None
    assert len(kept.names) == pictures.MOST_PAIRS
    assert kept.names[0] == f"f{n - 1}"
    assert kept.matrix.shape == (pictures.MOST_PAIRS, pictures.MOST_PAIRS)


def test_names_are_text_whatever_is_in_them() -> None:
    names = ["a$b$c", r"\$x^2$", "漢字", "<&>", "x" * 200]
    ranking = [ranked_feature(i, name, 1 / i) for i, name in enumerate(names, start=1)]
    drawn = svg(pictures.bar_plot(rank_result(ranking=ranking)), "bars")
    for shown in ("a$b$c", r"\$x^2$", "漢字", "&lt;&amp;&gt;", "x" * 39 + "…"):
        assert f">{shown}</text>" in drawn


def test_an_unknown_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="image format: expected one of svg, png, pdf, got 'gif'"):
        pictures.write_pictures(rank_result(), tmp_path, "gif")
    with pytest.raises(ConfigError, match="expected a file ending in svg, png, pdf"):
        save_picture(pictures.bar_plot(rank_result()), tmp_path / "x.gif")


def test_pictures_are_drawn_without_pyplot() -> None:
    done: list[str] = []
    thread = threading.Thread(target=lambda: done.append(svg(pictures.bar_plot(rank_result()), "bars")))
    thread.start()
    thread.join()
    assert done[0].startswith("<svg")
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
