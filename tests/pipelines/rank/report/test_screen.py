import io

import pytest
from rich.console import Console

from sparsewatch.pipelines.rank.report import wording
from sparsewatch.pipelines.rank.report.screen import show
from sparsewatch.pipelines.rank.result import RankResult
from tests.kit.rank_results import rank_result, ranked_feature, scored_result

PIPED = """\
clicks.csv: 5 features by MI-EMI

  #  feature      score, nats  of label       p  values  coverage
 ───────────────────────────────────────────────────────────────────────────────
  1  site            0.125000    25.0 %  <1e-99      10     100 %  ████████████
  2  ad              0.062500    12.5 %  <1e-99      20    80.5 %  ██████
  3  ad AND site     0.030000     6.0 %  <1e-99      30     100 %  ██▉
  4  hour            0.000040    <0.1 %   0.600      40     100 %
  5  noise          -0.000013     0.0 %   0.600      50     100 %

rows    2,000 counted, 4 rejected (no label 1, ragged 3)
label   click: 2 values, the rarest in 400 rows; 0.500000 nats
sample  scores that need whole rows use 1,500 of them
signal  3 of 5 features explain more of the label than by chance
leak    site explains 95.0 % of the label: no honest feature explains 90.0 %
twins   keep site, drop ad (redundancy 0.95)
drift   overlap of the rankings 0.450; 1 of 1 feature changed more than by chance
        ad from 40.0 % of the label (rank 1) to 12.5 % (rank 2), 48.6 standard deviations
        appeared: site, ad AND site, hour, noise
        vanished: gone
"""


def _shown(result: RankResult, *, width: int | None = None, top: int = 30) -> str:
    """What is printed, in a terminal of a width or a pipe, without the blanks at the ends of lines."""
    file = io.StringIO()
    terminal = width is not None
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None, _environ={})
    show(result, console, top=top)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def test_a_pipe_gets_the_whole_table_and_lines_of_what_was_found() -> None:
    assert _shown(rank_result()) == PIPED


def test_a_pipe_cuts_no_name() -> None:
    name = "a_feature_with_a_name_of_many_letters_" * 5
    assert name in _shown(rank_result(ranking=[ranked_feature(1, name, 0.1)]))


def test_a_terminal_folds_a_name_that_is_wider_than_it() -> None:
    name = "a_feature_with_a_name_of_many_letters_" * 5
    lines = _shown(rank_result(ranking=[ranked_feature(1, name, 0.1)]), width=80).splitlines()
    [first, *_] = (number for number, line in enumerate(lines) if line.startswith("  1"))
    assert "".join(line[4:].split()[0] for line in lines[first:] if "letters" in line or "a_" in line).startswith(
        name[:80]
    )
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, _shown(rank_result(), width=width).splitlines())) <= width


def test_names_and_scores_are_what_is_left_where_it_is_narrow() -> None:
    lines = _shown(rank_result(), width=34).splitlines()
    assert lines[2].split() == ["#", "feature", "score,", "nats"]
    assert lines[4].split() == ["1", "site", "0.125000"]


def test_what_is_not_shown_is_counted() -> None:
    shown = _shown(rank_result(), top=2)
    assert "... and 3 more" in shown
    assert "hour " not in shown


def test_a_heuristic_without_chance_has_no_column_for_it() -> None:
    assert _shown(scored_result()).splitlines()[:5] == [
        "clicks.csv: 2 features by AMI",
        "",
        "  #  feature     score  values  coverage",
        " ──────────────────────────────────────────────────────",
        "  1  site     0.750000       5     100 %  ████████████",
    ]


def test_text_from_data_neither_colours_nor_moves_the_cursor() -> None:
    shown = _shown(rank_result(ranking=[ranked_feature(1, "[red]x[/red]\x1b[2J", 0.1)]))
    assert r"[red]x[/red]\x1b[2J" in shown
    assert "\x1b" not in shown


def test_a_ranking_of_nothing_is_shown() -> None:
    assert "0 features" in _shown(rank_result(ranking=[]))


def test_the_console_is_left_as_it_was() -> None:
    console = Console(file=io.StringIO(), width=60)
    show(rank_result(), console)
    assert console.width == 60


def test_an_output_of_ascii_has_bars_of_ascii() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    show(rank_result(), Console(file=file, width=100, _environ={}))


def test_the_rest_of_many_findings_is_counted() -> None:
    one = rank_result().twins[0]
    facts = [fact.text for fact in wording.facts(rank_result(twins=[one] * 8)) if fact.about == "twins"]
    assert len(facts) == 6
    assert facts[-1] == "... and 3 more"
