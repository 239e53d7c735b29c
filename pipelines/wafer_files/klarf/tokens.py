"""Tokens of a KLARF file, read in pieces; an error knows its line."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsewatch.pipelines.wafer_files.faults import FaultCode, WaferFileError
from sparsewatch.pipelines.wafer_files.klarf.names import canonical, is_name, misspelt
from sparsewatch.pipelines.wafer_files.text_files import read_pieces

#: Longest token taken, bytes; names and paths are shorter by far.
LONGEST_TOKEN = 4096
#: Most tokens of one statement or one record.
MOST_TOKENS = 100_000

#: A string in quotes, a mark of punctuation, or anything else without blanks; a lone quote is an unclosed string.
_TOKEN = re.compile(rb'"[^"\n]*"|[{};,]|[^\s{};,"]+|"')
#: What each byte is to a token.
_BLANK, _NEWLINE, _MARK = 1, 2, 3
_KINDS = np.zeros(256, dtype=np.uint8)
_KINDS[list(b" \t\f\v")] = _BLANK
_KINDS[list(b"\r\n")] = _NEWLINE
_KINDS[list(b"{};,")] = _MARK


@dataclass
class _Held:
    """A piece with tokens that are still ahead."""

    text: bytes
    #: Line it begins on, and numbers of its first token and of the first token after it.
    line: int
    first: int
    end: int

    @cached_property
    def line_starts(self) -> NDArray[np.int64]:
        """Numbers of the tokens that begin a line."""
        return self.first + _line_starts(self.text)


class TokenStream:
    """Tokens one by one or many at once; holds at most the current piece and the beginning of an open record.

    Args:
        path: The file, read once from its start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pieces = read_pieces(path)
        self._held: deque[_Held] = deque()
        self._tokens: list[bytes] = []
        self._at = 0
        #: Number of `_tokens[0]` in the file.
        self._first = 0

    def next(self) -> bytes:
        """The next token.

        Raises:
            WaferFileError: `truncated` where the file ends.
        """
        token = self.next_or_end()
        if token is None:
            raise self.error("truncated", "expected another token, the file ends")
        return token

    def next_or_end(self) -> bytes | None:
        """The next token, None at the file's end."""
        while self._at == len(self._tokens):
            if not self.fill():
                return None
        self._at += 1
        return self._tokens[self._at - 1]

    def peek(self) -> bytes | None:
        """The next token, which stays ahead; None at the file's end."""
        token = self.next_or_end()
        self._at -= token is not None
        return token

    def name(self, word: bytes) -> str:
        """The name that this word, passed last, is in any case.

        Raises:
            WaferFileError: `broken_structure` if it is like a used name, but not that.
        """
        text = text_of(word)
        if likely := misspelt(text):
            raise self.error("broken_structure", f"expected a known name, got {shown(word)}: is it {likely}?", -1)
        return canonical(text)

    def expect(self, token: bytes) -> None:
        """Pass this token.

        Raises:
            WaferFileError: `broken_structure` if there is another token.
        """
        found = self.next()
        if found != token:
            raise self.error("broken_structure", f"expected {shown(token)}, got {shown(found)}", -1)

    def expect_end(self) -> None:
        """Pass what may follow the end mark: semicolons.

        Raises:
            WaferFileError: `broken_structure` if more follows: it would be lost.
        """
        while (word := self.next_or_end()) == b";":
            pass
        if word is not None:
            raise self.error("broken_structure", f"expected nothing after EndOfFile, got {shown(word)}", -1)

    def until(self, end: bytes) -> list[bytes]:
        """Tokens up to the next `end`, which is passed, too.

        Raises:
            WaferFileError: `too_large` above `MOST_TOKENS`, `truncated` where the file ends.
        """
        while (place := self.find(end)) is None:
            self.grow(f"expected {shown(end)}, the file ends")
        found = self.take(place)
        self._at += 1
        return found

    def values(self) -> list[str]:
        """Texts of the values of a statement, whose semicolon is passed, too.

        Raises:
            WaferFileError: `broken_structure` if the name of another statement, or a mark, is among them.
        """
        tokens = self.until(b";")
        self.refuse_names(tokens, -len(tokens) - 1)
        if marks := [token for token in tokens if token in (b",", b"{", b"}")]:
            message = f"expected values with blanks between them and a decimal point, got {shown(marks[0])}"
            raise self.error("broken_structure", message, -1)
        return values_of(tokens)

    def skip_statement(self) -> None:
        """Pass the values of a statement and its semicolon.

        Raises:
            WaferFileError: `broken_structure` if the name of another statement is among them.
        """
        while (place := self.find(b";")) is None:
            self._skip(len(self._tokens) - self._at)
            if not self.fill():
                raise self.error("truncated", "expected ';', the file ends")
        self._skip(place)
        self._at += 1

    def _skip(self, number: int) -> None:
        self.refuse_names(self.at_hand()[:number], 0)
        self._at += number

    def refuse_names(self, tokens: list[bytes], ahead: int) -> None:
        """Refuse names of statements among values: the semicolon before them is lost. A text in quotes is no name.

        Args:
            tokens: Values of a statement.
            ahead: How far ahead the first of them is; negative if they were passed.

        Raises:
            WaferFileError: `broken_structure` with the name.
        """
        at = next((i for i, token in enumerate(tokens) if is_name(token)), None)
        if at is not None:
            message = f"expected ';' before the statement {shown(tokens[at])}, got it among the values of another"
            raise self.error("broken_structure", message, ahead + at)

    def begin_lines(self, number: int) -> NDArray[np.bool_]:
        """Which of the next tokens at hand begin a line, shape (number,)."""
        found = np.zeros(number, dtype=np.bool_)
        for held in self._held:
            ahead = held.line_starts - self._first - self._at
            found[ahead[(ahead >= 0) & (ahead < number)]] = True
        return found

    def skip_block(self) -> None:
        """Pass everything up to and including the brace that closes the block whose opening brace was just passed."""
        depth = 1
        while depth:
            place = self.find(b"}")
            stop = len(self._tokens) if place is None else self._at + place
            depth += self._tokens[self._at : stop].count(b"{") - (place is not None)
            self._at = stop if place is None else stop + 1
            if place is None and not self.fill():
                raise self.error("truncated", "expected '}', the file ends")

    def find(self, token: bytes) -> int | None:
        """How far ahead a token stands among those at hand; None if it does not."""
        try:
            return self._tokens.index(token, self._at) - self._at
        except ValueError:
            return None

    def at_hand(self) -> list[bytes]:
        """Tokens that need no further reading; they stay ahead."""
        return self._tokens[self._at :]

    def take(self, number: int) -> list[bytes]:
        """Pass this number of tokens at hand."""
        self._at += number
        return self._tokens[self._at - number : self._at]

    def fill(self) -> bool:
        """Read the next piece behind the tokens at hand; False at the file's end."""
        piece = next(self._pieces, None)
        if piece is None:
            return False
        line, text = piece
        del self._tokens[: self._at]
        self._first, self._at = self._first + self._at, 0
        while len(self._held) > 1 and self._held[0].end < self._first:
            self._held.popleft()
        tokens = _TOKEN.findall(text)
        first = self._first + len(self._tokens)
        self._held.append(_Held(text, line, first, first + len(tokens)))
        self._tokens += tokens
        if b'"' in tokens:
            raise self.error(
                "broken_structure", "expected a closing quote", len(self._tokens) - len(tokens) + tokens.index(b'"')
            )
        if tokens and len(longest := max(tokens, key=len)) > LONGEST_TOKEN:
            message = f"expected tokens of at most {LONGEST_TOKEN} bytes, got one of {len(longest)}"
            raise self.error("too_large", message, self._tokens.index(longest))
        return True

    def grow(self, ends: str) -> None:
        """Read on inside a record.

        Raises:
            WaferFileError: `truncated` with the text `ends`, or `too_large` if the record has no end in sight.
        """
        if len(self._tokens) - self._at > MOST_TOKENS:
            raise self.error("too_large", f"expected at most {MOST_TOKENS} values before the end of a record, got more")
        if not self.fill():
            raise self.error("truncated", ends, len(self._tokens) - self._at - 1)

    def error(self, code: FaultCode, message: str, ahead: int = 0) -> WaferFileError:
        """An error at the token this far ahead; -1 is the token passed last."""
        return WaferFileError(code, self._path, message, self._line(self._first + self._at + ahead))

    def _line(self, token: int) -> int:
        """Line of a token; for a token after the end, the line of the last token."""
        for held in reversed(self._held):
            if held.first <= token or held is self._held[0]:
                return held.line + _line_within(held.text, token - held.first)
        return 1


def _line_starts(text: bytes) -> NDArray[np.int64]:
    """Places of the tokens that begin a line among a text's tokens, ascending."""
    if b'"' in text:
        numbers = [len(_TOKEN.findall(line)) for line in re.split(rb"[\r\n]", text)]
        places = np.cumsum([0, *numbers])
        return np.unique(places[places < places[-1]])
    kinds = _KINDS[np.frombuffer(text, dtype=np.uint8)]
    before = np.concatenate([[_NEWLINE], kinds[:-1]])
    tokens = np.flatnonzero((kinds == _MARK) | ((kinds == 0) & (before != 0)))
    lines = np.concatenate([[0], np.flatnonzero(kinds == _NEWLINE) + 1])
    places = np.unique(np.searchsorted(tokens, lines))
    return places[places < len(tokens)]


def _line_within(text: bytes, token: int) -> int:
    """Lines between a text's start and its token of this number; to its last token if there are fewer."""
    last = 0
    for number, found in enumerate(_TOKEN.finditer(text)):
        last = found.start()
        if number >= token:
            break
    return text.count(b"\n", 0, last)


def text_of(token: bytes) -> str:
    """A token as text, without its quotes; bytes that are no UTF-8 are read as Latin-1."""
    bare = token[1:-1] if token[:1] == b'"' else token
    try:
        return bare.decode()
    except UnicodeDecodeError:
        return bare.decode("latin-1")


def shown(token: bytes) -> str:
    """A token as an error shows it."""
    return repr(text_of(token)[:60])


def values_of(tokens: Iterator[bytes] | list[bytes]) -> list[str]:
    """Texts of tokens, commas left out."""
    return [text_of(token) for token in tokens if token != b","]
