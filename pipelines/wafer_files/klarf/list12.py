"""The DefectList of KLARF 1.1 and 1.2: records of numbers by lines, names of image files among them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsewatch.pipelines.wafer_files.faults import WaferFileError
from sparsewatch.pipelines.wafer_files.klarf.defects import (
    MOST_COLUMNS,
    DefectRecords,
    UsedColumns,
    to_floats,
    used_columns,
)
from sparsewatch.pipelines.wafer_files.klarf.tokens import TokenStream, shown
from sparsewatch.schemas.alerts import counted

_IMAGES = "IMAGELIST"
#: Most images of one defect.
_MOST_IMAGES = 10_000
#: Words that name the image file of the record before them, or of those behind, in the midst of a list.
_IMAGE_FILES = frozenset({b"filename", b"tifffilename", b"imagefilename"})
#: Bytes of numbers.
_NUMERIC = b"0123456789+-.eE"
_NUMBER_STARTS = b"0123456789+-."


class RecordSpec(NamedTuple):
    """Columns of a list's records."""

    columns: UsedColumns
    #: Whether pairs of numbers follow the last column, as many as it says.
    images: bool


def record_spec(values: list[str], stream: TokenStream) -> RecordSpec:
    """The columns that a DefectRecordSpec, just passed, names.

    Raises:
        WaferFileError: `wrong_columns`.
    """
    count, *names = values or [""]
    if count != str(len(names)) or len(names) > MOST_COLUMNS:
        message = f"expected DefectRecordSpec with a number up to {MOST_COLUMNS} and that many names"
        raise stream.error("wrong_columns", f"{message}, got {count[:20]!r} and {len(names)} names", -1)
    names = [name.upper() for name in names]
    columns = used_columns(names, stream)
    if _IMAGES in names and names[-1] != _IMAGES:
        raise stream.error("wrong_columns", f"expected {_IMAGES} as the last column, got it before others", -1)
    return RecordSpec(columns, _IMAGES in names)


class ListReader:
    """Reads the parts of one wafer's list.

    Args:
        stream: Right after a DefectList.
        spec: Columns of the records.
        records: Where they go.
    """

    def __init__(self, stream: TokenStream, spec: RecordSpec, records: DefectRecords) -> None:
        self._stream = stream
        self._spec = spec
        self._width = spec.columns.width
        self._records = records
        #: Whether a record was seen, whether any began within a line, and whether any line began within a record.
        self._seen = False
        self._within_line = False
        self._within_record = False

    def read(self) -> None:
        """Records up to the semicolon behind the last of them.

        A list goes on behind a semicolon if numbers follow: some write a semicolon behind each record, or behind the
        word DefectList.

        Raises:
            WaferFileError: What is wrong with a record.
        """
        while True:
            self._read_part()
            while (token := self._stream.peek()) == b";":
                self._stream.next()
            if token is None or token[:1] not in _NUMBER_STARTS:
                return

    def _read_part(self) -> None:
        while True:
            end = self._stream.find(b";")
            tokens = self._stream.at_hand() if end is None else self._stream.at_hand()[:end]
            self._stream.take(self._take(tokens, ended=end is not None))
            if end is not None:
                break
            self._stream.grow("expected ';' after the records of DefectList, the file ends")
        self._stream.expect(b";")

    def _take(self, tokens: list[bytes], *, ended: bool) -> int:
        """Add whole records; returns how many tokens they are."""
        odd = b"".join(tokens).translate(None, _NUMERIC)
        chosen = self._checked(tokens) if odd else np.arange(len(tokens))
        plain = [tokens[i] for i in chosen.tolist()] if odd else tokens
        starts, end = self._starts(plain)
        if ended and end < len(plain):
            raise self._left_over(len(plain) - end, int(chosen[end]))
        begin = self._stream.begin_lines(len(tokens))
        self._check_lines(begin[chosen[:end]], starts, int(chosen[0]) if len(chosen) else 0)
        if odd:
            self._check_first(plain, starts, chosen)
        if self._spec.images:
            self._records.add_values(to_floats(plain[:end]), starts, plain, chosen)
        else:
            self._records.add(plain[:end], self._width, chosen)
        return int(chosen[end]) if end < len(plain) else len(tokens)

    def _checked(self, tokens: list[bytes]) -> NDArray[np.int64]:
        """Places of the tokens that are no names of image files.

        Raises:
            WaferFileError: `broken_structure` at the name of another statement, or a mark.
        """
        left = np.ones(len(tokens), dtype=np.bool_)
        for i, token in enumerate(tokens):
            if token[:1].isalpha() and token.lower() in _IMAGE_FILES:
                left[i : i + 2] = False
        named = np.flatnonzero(left)
        kept = [tokens[i] for i in named.tolist()]
        for i, token in zip(named.tolist(), kept, strict=True):
            if token in (b",", b"{", b"}"):
                message = f"expected numbers with a decimal point in DefectList, got {shown(token)}"
                raise self._stream.error("broken_structure", message, i)
            self._stream.refuse_names([token], i)
        return named

    def _starts(self, tokens: list[bytes]) -> tuple[NDArray[np.int64], int]:
        """First token of each whole record, and the end of the last."""
        width, n = self._width, len(tokens)
        whole = n - n % width
        if not self._spec.images or set(tokens[width - 1 : whole : width]) <= {b"0"}:
            return np.arange(0, whole, width), whole
        # The last column is a number of images; that many pairs follow it.
        images = np.full(n, np.inf)
        images[: max(0, n - width + 1)] = to_floats(tokens)[width - 1 :]
        reasonable = (images >= 0) & (images <= _MOST_IMAGES) & (images == np.rint(images))
        lengths = np.where(reasonable, width + 2 * images, n + 1).astype(np.int64)
        starts = orbit(np.minimum(np.arange(n) + lengths, n + 1))
        ends = np.append(starts[1:], starts[-1] + lengths[starts[-1]]) if len(starts) else starts
        known = starts + width <= n
        if (bad := known & ~reasonable[starts]).any():
            at = int(starts[np.argmax(bad)]) + width - 1
            message = f"expected a number of images up to {_MOST_IMAGES} in column {_IMAGES}, got {shown(tokens[at])}"
            raise self._stream.error("not_a_number", message, at)
        complete = ends <= n
        return starts[complete], int(ends[complete][-1]) if complete.any() else 0

    def _check_lines(self, begin: NDArray[np.bool_], starts: NDArray[np.int64], ahead: int) -> None:
        """Refuse records that begin within lines, if lines begin within records, too.

        A record may take several lines, or a line hold several records; both at once come of records of another width
        than declared, which would be cut at the wrong places.

        Args:
            begin: Which tokens of these records begin a line.
            starts: First token of each record.
            ahead: How far ahead in the stream the first token is.
        """
        within_line = ~begin[starts]
        if not self._seen and len(starts):
            # The first record may stand behind the word DefectList.
            within_line[0] = False
            self._seen = True
        begin[starts] = False
        self._within_line |= bool(within_line.any())
        self._within_record |= bool(begin.any())
        if self._within_line and self._within_record:
            at = int(starts[np.argmax(within_line)]) if within_line.any() else int(np.argmax(begin))
            message = f"expected each record of DefectList, of {counted(self._width, 'column')}, to begin on a line"
            raise self._stream.error("wrong_columns", f"{message}; is a value lost, or one too many?", ahead + at)

    def _check_first(self, tokens: list[bytes], starts: NDArray[np.int64], chosen: NDArray[np.int64]) -> None:
        """Refuse a record that begins with a word: it is a statement whose semicolon before it is lost."""
        first = to_floats([tokens[i] for i in starts.tolist()])
        if np.isnan(first).any():
            at = int(starts[np.argmax(np.isnan(first))])
            message = f"expected a number at the begin of each record of DefectList, got {shown(tokens[at])}"
            raise self._stream.error("not_a_number", message, int(chosen[at]))

    def _left_over(self, number: int, ahead: int) -> WaferFileError:
        message = f"expected records of {counted(self._width, 'column')} in DefectList, the last record has {number}"
        return self._stream.error("wrong_columns", message, ahead)


def orbit(following: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places reached from 0 by `following`, ascending, by doubling: log2(n) passes instead of one step each.

    Args:
        following: Greater than its place; `len(following)` or more means outside. int64 of shape (n,).

    >>> orbit(np.array([2, 9, 3, 5, 9])).tolist()
    [0, 2, 3]
    """
    n = len(following)
    jump = np.append(np.minimum(following, n), n)
    reached = np.zeros(min(n, 1), dtype=np.int64)
    while True:
        onward = jump[reached]
        onward = onward[onward < n]
        if not len(onward):
            return reached
        reached, jump = np.concatenate([reached, onward]), jump[jump]
