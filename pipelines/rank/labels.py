"""The label of a table without a declared type: any text or number, two values or many.

Counting features needs a label of 0 and 1, so two values stand for these, in order where a block holds both; swapping
them changes scores by rounding only. More than two are scored from codes.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sparsewatch.schemas.errors import ConfigError

#: Most values of a label: a column with more is a number or a name.
MAX_LABEL_VALUES = 10_000


class ManyLabelsError(Exception):
    """A third value appeared where two were assumed; the caller starts again."""


class LabelValues:
    """Numbers the values of a label block by block.

    Args:
        name: Its column, for messages.
        most: Most values it may have. With more, `ManyLabelsError` is raised if `most` is 2, else `ConfigError`.
    """

    def __init__(self, name: str, most: int = MAX_LABEL_VALUES) -> None:
        self.name = name
        self._most = most
        self._values: Any = None
        self._rows = np.zeros(0, np.int64)

    @property
    def values(self) -> list[Any]:
        """Values so far: those of each block in order, block after block."""
        return [] if self._values is None else self._values.to_pylist()

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of each value, shape (n_values,)."""
        return self._rows

    def number(self, column: Any) -> NDArray[np.int64]:
        """Codes of a block's labels, none of which is null, shape (n_rows,).

        Raises:
            ManyLabelsError: If two values were expected and a third came.
            ConfigError: If there are too many for a label.
        """
        encoded = column.dictionary_encode() if not pa.types.is_dictionary(column.type) else column
        distinct = encoded.dictionary
        known = distinct.slice(0, 0) if self._values is None else self._values
        # In order, so that the result does not depend on the order of a block's rows, to the last bit.
        news = distinct.filter(pc.invert(pc.is_in(distinct, known)))
        news = news.take(pc.sort_indices(news))
        self._values = pa.concat_arrays([known.cast(distinct.type), news])
        self._expect_few()
        place = pc.index_in(distinct, self._values).to_numpy()
        codes: NDArray[np.int64] = place[encoded.indices.to_numpy(zero_copy_only=False)].astype(np.int64)
        rows = np.bincount(codes, minlength=len(self._values))
        rows[: self._rows.size] += self._rows
        self._rows = rows
        return codes

    def expect_two_or_more(self) -> None:
        """Refuse a label with a single value: no feature has information about it.

        Raises:
            ConfigError: If there were no rows, or all had one value.
        """
        if len(self.values) < 2:
            found = f"{self.values[0]!r} in all rows" if self.values else "no row with a label"
            raise ConfigError(f"label {self.name!r}: expected at least two values, got {found}")

    def _expect_few(self) -> None:
        if len(self._values) <= self._most:
            return
        if self._most == 2:
            raise ManyLabelsError
        raise ConfigError(
            f"label {self.name!r}: expected at most {self._most} values, got more; bin a numeric label first"
        )
