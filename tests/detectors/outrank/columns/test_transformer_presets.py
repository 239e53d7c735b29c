import numpy as np
import pytest

from sparsewatch.detectors.outrank.columns.formulas import parse_formula
from sparsewatch.detectors.outrank.columns.transformer_presets import PRESETS, preset_formulas
from sparsewatch.schemas.errors import ConfigError


@pytest.mark.parametrize(
    ("preset", "size"),
    [
        ("minimal", 4),
        ("default", 10),
        ("fw-transformers", 138),
        ("extended", 27),
        ("verbose", 232),
        ("extended_rounded", 108),
    ],
)
def test_presets_have_as_many_formulas_as_in_the_public_tool_and_all_can_be_read(preset: str, size: int) -> None:
    formulas = preset_formulas(preset)
    assert len(formulas) == size
    for formula in formulas.values():
        parse_formula(formula)


@pytest.mark.parametrize(
    ("suffix", "formula"),
    [
        ("_tr_log2_squared(abs(x)+1)", "log2(abs(square(X)) + 1)"),
        ("_tr_inverse_squared_squared", "where(square(square(X)) != 0, 1 / square(square(X)), 0)"),
        ("_tr_log10_abs(x+1)", "log10(abs(X) + 1)"),
        ("_tr_softplus_cubed", "log1p(exp(X ** 3))"),
        ("_tr_fill_zero_with_nan", "where(X == 0, nan, X)"),
        ("_tr_threshold_minus_10_with_median", "where(X < -10, median(X), X)"),
        ("_tr_clip_outliers_5_95", "clip(X, percentile(X, 5), percentile(X, 95))"),
    ],
)
def test_rules_give_the_names_and_formulas_of_the_public_tool(suffix: str, formula: str) -> None:
    assert PRESETS["verbose"][suffix] == formula


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        ("_tr_fw_sqrt_res_10_gt_4", [1.0, 0.0, 10.0, 22.0]),
        ("_tr_fw_log_res_50_gt_4", [1.0, 0.0, 0.0, 80.0]),
        ("_tr_fw_prob_sqrt_res_1_gt_0.96", [0.0, 2.0, 2.0, 3.0]),
    ],
)
def test_values_below_a_threshold_stay_and_above_it_are_coarse(suffix: str, expected: list[float]) -> None:
    formula = parse_formula(PRESETS["fw-transformers"][suffix])
    assert formula.values(np.array([1.0, 4.0, 5.0, 9.0])).tolist() == expected


def test_several_presets_all_count() -> None:
    both = preset_formulas("minimal, extended_rounded")
    assert set(both) == {*PRESETS["minimal"], *PRESETS["extended_rounded"]}


@pytest.mark.parametrize("names", ["", "default,", "minimal,best"])
def test_a_preset_that_there_is_not_is_refused(names: str) -> None:
    with pytest.raises(ConfigError, match="expected presets of minimal, default, fw-transformers"):
        preset_formulas(names)
