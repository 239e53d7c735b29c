import numpy as np
import pytest

from sparsewatch.detectors.wafers.labels import read_labels
from sparsewatch.schemas.errors import ConfigError


def test_single_labels_are_classes_and_normal_is_one_of_them() -> None:
    classes = read_labels(["b", "none", "a", "b"], hold_out=())
    assert (classes.outputs, classes.normal, classes.several) == (("a", "b", "none"), "none", False)
    np.testing.assert_array_equal(classes.targets, [1, 2, 0, 1])
    assert classes.groups == ("a", "b", "none")


def test_joined_labels_are_parts_and_normal_has_none() -> None:
    classes = read_labels(["b+a", "normal", "a", "b"], hold_out=())
    assert (classes.outputs, classes.normal, classes.several) == (("a", "b"), "normal", True)
    np.testing.assert_array_equal(classes.targets, [[1, 1], [0, 0], [1, 0], [0, 1]])
    assert classes.patterns.tolist() == ["a+b", "normal", "a", "b"]


def test_a_wafer_with_a_withheld_part_is_not_known() -> None:
    classes = read_labels(["b+a", "normal", "a", "c", "c+b"], hold_out=("b",))
    assert classes.known.tolist() == [False, True, True, True, False]
    assert classes.outputs == ("a", "c")


def test_what_cannot_be_held_out_is_named() -> None:
    with pytest.raises(ConfigError, match="cannot hold out moon: the wafers are a, b"):
        read_labels(["a", "b"], hold_out=("moon",))
    with pytest.raises(ConfigError, match="at least 2 known classes"):
        read_labels(["a", "b"], hold_out=("b",))
