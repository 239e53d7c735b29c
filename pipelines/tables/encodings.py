"""Encodings of text files: which one a file has, its text as UTF-8, and where a byte does not fit.

A byte order mark decides; without a mark the user's setting does, UTF-8 by default. Nothing is guessed: a byte that is
not of the encoding ends the reading with its place and the encoding to try.
"""

import codecs
from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa

from sparsewatch.schemas.errors import ConfigError, SchemaError

UTF8 = "utf-8"
#: UTF-32 first: its mark begins as that of UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LONGEST_MARK = 4
_MARK = "\ufeff"
#: Encodings of single bytes to suggest, in this order: cp1252 lacks a few bytes, latin-1 none.
_LIKELY = ("cp1252", "latin-1")
#: Bytes looked at for zeros, and the share of them that text in UTF-8 never has.
_LOOKED = 4096
_ZEROS = 1 / 8
#: Characters, or bytes, shown on each side of a wrong byte.
_AROUND = 20


def check_encoding(name: str) -> str:
    """An encoding that a user names.

    Raises:
        ConfigError: If there is none of this name.
    """
    try:
        found = codecs.lookup(name).name
        # Refused by codecs that are none of text, such as hex.
        b"a".decode(name)
    except UnicodeDecodeError:
        pass
    except LookupError as error:
        raise ConfigError(
            f"--encoding: expected an encoding such as utf-8, cp1252, latin-1 or utf-16, got {name!r}"
        ) from error
    return UTF8 if found == "utf-8-sig" else found


class Marked(NamedTuple):
    """How a text is encoded."""

    encoding: str
    #: Bytes of its byte order mark.
    mark: int


def encoding_of(start: bytes, asked: str | None) -> Marked:
    """The encoding of a text that begins with `start`.

    Args:
        start: At least 4 bytes, or the whole text.
        asked: What the user says; UTF-8 if None.
    """
    for mark, name in _MARKS:
        if start.startswith(mark):
            return Marked(name, len(mark))
    return Marked(asked or UTF8, 0)


def as_utf8(start: bytes, asked: str | None) -> bytes:
    """The first bytes of a text as UTF-8; what does not fit is left out."""
    encoding, mark = encoding_of(start, asked)
    return start[mark:] if encoding == UTF8 else start[mark:].decode(encoding, "ignore").encode()


class ToUtf8:
    """Converts a stream of bytes to UTF-8 without a byte order mark, chunk by chunk; a line break ends it.

    Args:
        asked: Encoding that the user names.
        fault: Makes the error to raise if a byte is not of the encoding.
    """

    def __init__(self, asked: str | None, fault: Callable[[], Exception]) -> None:
        self._asked = asked
        self._fault = fault
        self._start = b""
        self._encoding = UTF8
        self._decoder: codecs.IncrementalDecoder | None = None
        self._ended = False

    def __call__(self, chunk: pa.Buffer) -> bytes:
        """The next bytes; an empty chunk is the end."""
        data, last = bytes(chunk), not chunk.size
        try:
            return self._converted(data, last)
        except UnicodeDecodeError as error:
            raise self._fault() from error

    def _converted(self, data: bytes, last: bool) -> bytes:
        if self._decoder is None:
            self._start += data
            if len(self._start) < _LONGEST_MARK and not last:
                return b""
            data = self._begun()
        decoder = self._decoder
        assert decoder is not None
        if self._encoding == UTF8 and not last and data.isascii() and not decoder.getstate()[0]:
            return data
        text = decoder.decode(data, last)
        if last and not self._ended:
            # The CSV reader takes a record that ends with the file, but not a header.
            text, self._ended = text + "\n", True
        return text.encode(errors="surrogatepass")

    def _begun(self) -> bytes:
        self._encoding, mark = encoding_of(self._start, self._asked)
        self._decoder = codecs.getincrementaldecoder(self._encoding)("strict")
        data = self._start[mark:]
        if self._encoding == UTF8 and _has_zeros(data):
            raise self._fault()
        return data


def _has_zeros(data: bytes) -> bool:
    looked = data[:_LOOKED]
    return looked.count(0) > _ZEROS * len(looked)


class FaultFinder:
    """Finds the first byte of a text that is not of its encoding; fed with the text's bytes once more.

    Args:
        encoding: The encoding, as `encoding_of` finds it.
        mark: Bytes of the byte order mark.
    """

    def __init__(self, encoding: str, mark: int) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._encoding = encoding
        self._skip = mark
        self._line = 1
        self._before = ""

    def find(self, data: bytes, *, last: bool) -> str | None:
        """What is wrong, for a person; None if nothing is."""
        data, self._skip = data[self._skip :], max(0, self._skip - len(data))
        if self._encoding == UTF8 and self._line == 1 and not self._before and _has_zeros(data):
            order = "le" if data[1:_LOOKED:2].count(0) >= data[:_LOOKED:2].count(0) else "be"
            return f"expected text as UTF-8, got bytes that are zero: if it is UTF-16, add --encoding utf-16-{order}"
        try:
            text = self._decoder.decode(data, last)
        except UnicodeDecodeError as error:
            return self._told(error)
        self._pass(text)
        return None

    def _pass(self, text: str) -> None:
        self._line += text.count("\n")
        self._before = text[text.rfind("\n") + 1 :] if "\n" in text else self._before + text

    def _told(self, error: UnicodeDecodeError) -> str:
        self._pass(error.object[: error.start].decode(self._encoding, "ignore"))
        after = error.object[error.start : error.start + _AROUND].split(b"\n")[0]
        place = f"line {self._line}, character {len(self._before) + 1}"
        wrong = error.object[error.start : error.start + 1].hex()
        return f"{place}: expected text as {self._encoding}, got the byte 0x{wrong}; {self._likely(after)}"

    def _likely(self, after: bytes) -> str:
        for name in _LIKELY if self._encoding == UTF8 else (UTF8,):
            try:
                text = self._before[-_AROUND:] + after.decode(name)
            except UnicodeDecodeError:
                continue
            return f"as {name} it reads {text!r}: if that is right, add --encoding {name}"
        return "--encoding takes another"


def fault_in(chunks: Callable[[], bytes], asked: str | None) -> SchemaError:
    """The error of a text in which a byte is not of the encoding.

    Args:
        chunks: Gives its next bytes; none at the end.
        asked: Encoding that the user names.
    """
    data = chunks()
    finder = FaultFinder(*encoding_of(data, asked))
    while (told := finder.find(data, last=not data)) is None and data:
        data = chunks()
    return SchemaError(told or "expected text")
