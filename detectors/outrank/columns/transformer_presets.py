"""Formulas of the public `outrank`'s presets of numeric transformers, by the names it gives them.

Its lists come from a few rules, written here as rules: functions of X, of X**2, of |X| and of X**3; replacements of
values of one kind by a statistic; roots and logarithms above a threshold, as of a factorisation machine; all of these
rounded.
"""

import re
from collections.abc import Iterable

from sparsewatch.schemas.errors import ConfigError

Formulas = dict[str, str]

MINIMAL = {
    "_tr_sqrt": "sqrt(X)",
    "_tr_log(x+1)": "log(X + 1)",
    "_tr_sqrt(abs(x))": "sqrt(abs(X))",
    "_tr_log(abs(x)+1)": "log(abs(X) + 1)",
}

DEFAULT = {
    **MINIMAL,
    "_tr_div(x,abs(x))*log(abs(x))": "X / abs(X) * log(abs(X))",
    # The bracket that is missing is missing in the tool's name, too.
    "_tr_log(x + sqrt(pow(x,2), 1)": "log(X + sqrt(X ** 2 + 1))",
    "_tr_log*sqrt": "log(X + 1) * sqrt(X)",
    "_tr_log*100": "round(log(X + 1) * 100, 0)",
    "_tr_nonzero": "X != 0",
    "_tr_round(div(x,max))": "round(X / max(X), 0)",
}

_Z_SCORE = "(X - mean(X)) / std(X)"
_MIN_MAX = "(X - min(X)) / (max(X) - min(X))"
_INVERSE = "where(X != 0, 1 / X, 0)"

EXTENDED = {
    **DEFAULT,
    "_tr_squared": "square(X)",
    "_tr_cubed": "X ** 3",
    "_tr_inverse": _INVERSE,
    "_tr_exp": "exp(X)",
    "_tr_exp_minus_1": "expm1(X)",
    "_tr_sin": "sin(X)",
    "_tr_cos": "cos(X)",
    "_tr_tan": "tan(X)",
    "_tr_arcsin_safe": "arcsin(clip(X, -1, 1))",
    "_tr_arccos_safe": "arccos(clip(X, -1, 1))",
    "_tr_arctan": "arctan(X)",
    "_tr_sign": "sign(X)",
    "_tr_z_score": _Z_SCORE,
    "_tr_min_max_scale": _MIN_MAX,
    "_tr_quadratic_root": "cbrt(X)",
    "_tr_shifted_sigmoid": "1 / (1 + exp(-X - 0.5))",
    "_tr_logistic": "1 / (1 + exp(-X))",
}


def _of(argument: str, suffix: str, formulas: Formulas, names: Iterable[str]) -> Formulas:
    """Formulas of something other than X; the suffix stands before a bracket in the name, else at its end."""
    return {
        re.sub(r"(?=\()|$", suffix, f"_tr_{name}", count=1): re.sub(r"\bX\b", argument, formulas[f"_tr_{name}"])
        for name in names
    }


_FIRST = {
    "_tr_reciprocal": _INVERSE,
    "_tr_log1p": "log1p(X)",
    "_tr_expm1": "expm1(X)",
    "_tr_softplus": "log1p(exp(X))",
    "_tr_absolute": "abs(X)",
    "_tr_clip_0_1": "clip(X, 0, 1)",
    "_tr_clip_0_2": "clip(X, 0, 2)",
    "_tr_normalize": _MIN_MAX,
    "_tr_standardize": _Z_SCORE,
    "_tr_cumulative_sum": "cumsum(X)",
    "_tr_cumulative_prod": "cumprod(X)",
    "_tr_diff": "diff(X)",
    "_tr_fourth_root": "sqrt(sqrt(X))",
    "_tr_fourth_root(abs(x))": "sqrt(sqrt(abs(X)))",
    "_tr_log10(x+1)": "log10(X + 1)",
    "_tr_log10(abs(x)+1)": "log10(abs(X) + 1)",
    "_tr_div(x,abs(x))*log10(abs(x))": "X / abs(X) * log10(abs(X))",
    "_tr_div_squared(x,abs(x))*log10(abs(x))": "square(X) / abs(X) * log10(abs(X))",
    "_tr_log10*sqrt": "log10(X + 1) * sqrt(X)",
    "_tr_log10*100": "round(log10(X + 1) * 100, 0)",
    "_tr_positive": "X > 0",
    "_tr_round(div(x,median))": "round(X / median(X), 0)",
    "_tr_square_root_abs": "sqrt(abs(X))",
    "_tr_square_root_inverse": f"sqrt({_INVERSE})",
    "_tr_exp_minus_one": "expm1(X)",
    "_tr_cubed_root": "cbrt(X)",
}

#: Those of which each is there of X**2, too.
_BOTH = {
    "_tr_fourth_power": "X ** 4",
    "_tr_fifth_power": "X ** 5",
    "_tr_inverse_squared": _INVERSE.replace("X", "square(X)"),
    "_tr_exp2": "exp2(X)",
    "_tr_sinh": "sinh(X)",
    "_tr_cosh": "cosh(X)",
    "_tr_tanh": "tanh(X)",
    "_tr_log2": "log2(X)",
    "_tr_log10": "log10(X)",
    "_tr_sinc": "sinc(X)",
    "_tr_mean": "mean(X)",
    "_tr_median": "median(X)",
    "_tr_variance": "var(X)",
    "_tr_std_dev": "std(X)",
    **{f"_tr_percentile_{q}": f"percentile(X, {q})" for q in (25, 50, 75)},
    "_tr_reverse": "reverse(X)",
    "_tr_sort": "sort(X)",
    "_tr_argsort": "argsort(X)",
    "_tr_is_nan": "isnan(X)",
    "_tr_is_finite": "isfinite(X)",
    "_tr_is_infinite": "isinf(X)",
    "_tr_is_positive": "X > 0",
    "_tr_is_negative": "X < 0",
    "_tr_is_zero": "X == 0",
    "_tr_log2(x+1)": "log2(X + 1)",
    "_tr_log2(abs(x)+1)": "log2(abs(X) + 1)",
    "_tr_log2*sqrt": "log2(X + 1) * sqrt(X)",
    "_tr_log2*100": "round(log2(X + 1) * 100, 0)",
    "_tr_sec": "1 / cos(X)",
    "_tr_cosec": "1 / sin(X)",
    "_tr_cot": "1 / tan(X)",
    "_tr_arcsinh": "arcsinh(X)",
    "_tr_arccosh": "arccosh(X)",
    "_tr_arctanh": "arctanh(X)",
    **{f"_tr_poly{power}": f"X ** {power}" for power in (2, 3, 4)},
    "_tr_custom1": "X ** 2 + 2 * X + 1",
    "_tr_custom2": "sin(X) + cos(X)",
    "_tr_custom3": "exp(X) - log(X + 1)",
    "_tr_empirical_cdf": "empirical_cdf(X)",
    "_tr_uniform_cdf": "clip(X, 0, 1)",
    "_tr_exponential_cdf": "1 - exp(-X)",
}

_SQUARED = (
    *("inverse", "log1p", "exp", "sin", "cos", "tan", "arctan", "sign", "absolute", "fourth_root"),
    *("log10(abs(x)+1)", "log10*sqrt", "log10*100", "positive", "round(div(x,median))"),
    *(name.removeprefix("_tr_") for name in _BOTH),
)
_ABSOLUTE = (
    *("log1p", "inverse", "z_score", "min_max_scale", "shifted_sigmoid", "logistic", "reciprocal", "normalize"),
    *("standardize", "cumulative_sum", "cumulative_prod", "diff", "fourth_root", "log10(x+1)"),
)

_ACTIVATIONS = {
    "_tr_boxcox_lambda_0.5": "where(X > 0, (X ** 0.5 - 1) / 0.5, nan)",
    "_tr_yeo_johnson_lambda_0": "sign(X) * log(abs(X) + 1)",
    "_tr_relu": "maximum(0, X)",
    "_tr_leaky_relu": "where(X > 0, X, 0.01 * X)",
    "_tr_elu": "where(X > 0, X, exp(X) - 1)",
    "_tr_softsign": "X / (1 + abs(X))",
    "_tr_swish": "X / (1 + exp(-X))",
    "_tr_gelu_approx": "0.5 * X * (1 + tanh(sqrt(2 / pi) * (X + 0.044715 * X ** 3)))",
    "_tr_mish": "X * tanh(log1p(exp(X)))",
    "_tr_hard_sigmoid": "clip((X + 1) / 2, 0, 1)",
    "_tr_hard_tanh": "clip(X, -1, 1)",
    "_tr_swish_flick": "X / (1 + exp(X))",
    "_tr_reciprocal_softplus": "1 / log1p(exp(X))",
    "_tr_bell_shape": "exp(-X ** 2)",
    "_tr_gumbel_smx": "exp(-exp(-(X - 3.0) / 4.0))",
    "_tr_gumbel_smx1": "exp(-exp(-(X - 0.5) / 2.0))",
    "_tr_gumbel_smx2": "exp(-exp(-(X - 2.0) / 1.2))",
    "_tr_fancy_beta": "sqrt(2 * pi / X) * (X / e) ** X",
    "_tr_energy_distance": "sqrt(2 * var(X))",
}


def _fills() -> Formulas:
    """Values of one kind replaced by zero, by a missing value or by a statistic."""
    statistics = {name: f"{name}(X)" for name in ("mean", "median", "max", "min")}
    fills = {"zero": "0", "nan": "nan", **statistics}
    kinds = {"nan": "isnan(X)", "inf": "isinf(X)", "zero": "X == 0", "negative": "X < 0", "positive": "X > 0"}
    left_out = {("nan", "nan"), ("inf", "nan"), ("zero", "zero")}
    cases = [(f"fill_{kind}", kinds[kind], fill) for kind in kinds for fill in fills if (kind, fill) not in left_out]
    cases += [("threshold_10", "X > 10", fill) for fill in statistics]
    cases += [("threshold_minus_10", "X < -10", fill) for fill in ("zero", "nan", "mean", "median")]
    return {f"_tr_{kind}_with_{fill}": f"where({condition}, {fills[fill]}, X)" for kind, condition, fill in cases}


def _clips() -> Formulas:
    return {
        f"_tr_clip_outliers_{low}_{100 - low}": f"clip(X, percentile(X, {low}), percentile(X, {100 - low}))"
        for low in (1, 5, 10, 25)
    }


def _above_thresholds() -> Formulas:
    """X below a threshold, a rounded root or logarithm of the excess above it, 0 at it."""
    thresholds = (1, 2, 4, 8, 16, 32, 64, 96)
    families = [("fw", f"{threshold}") for threshold in thresholds]
    families += [("fw_prob", f"{threshold / 100}") for threshold in thresholds]
    return {
        f"_tr_{family}_{function}_res_{resolution}_gt_{g}": (
            f"where(X < {g}, X, where(X > {g}, round({function}(X - {g}) * {resolution}, 0), 0))"
        )
        for family, g in families
        for resolution in (1, 10, 50, 100)
        for function in ("sqrt", "log")
    }


def _rounded(formulas: Formulas) -> Formulas:
    return {
        f"{name}_round{digits}": f"round32({formula}, {digits})"
        for name, formula in formulas.items()
        for digits in (1, 2, 3, 4)
    }


_NAMED = {**EXTENDED, **_FIRST, **_BOTH}

#: Formulas by suffix, by preset.
PRESETS: dict[str, Formulas] = {
    "minimal": MINIMAL,
    "default": DEFAULT,
    "fw-transformers": {**DEFAULT, **_above_thresholds()},
    "extended": EXTENDED,
    "verbose": {
        **_NAMED,
        **_of("square(X)", "_squared", _NAMED, _SQUARED),
        **_of("abs(X)", "_abs", _NAMED, _ABSOLUTE),
        **_of("X ** 3", "_cubed", _NAMED, ("log1p", "expm1", "softplus")),
        **_fills(),
        **_clips(),
        **_ACTIVATIONS,
    },
    "extended_rounded": _rounded(EXTENDED),
}


def preset_formulas(names: str) -> Formulas:
    """Formulas of several presets, by suffix of the column's name.

    Args:
        names: Presets between commas, such as "default,fw-transformers"; all of them count (in the tool only the
            last does).

    Raises:
        ConfigError: If there is no such preset.
    """
    formulas: Formulas = {}
    for name in names.split(","):
        if name.strip() not in PRESETS:
            raise ConfigError(f"transformers: expected presets of {', '.join(PRESETS)}, got {name.strip()!r}")
        formulas |= PRESETS[name.strip()]
    return formulas
