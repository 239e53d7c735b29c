"""Tokens of a KLARF file, read in pieces; an error knows its line."""

import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sparsewatch.pipelines.wafer_files.faults import FaultCode, WaferFileError
from sparsewatch.pipelines.wafer_files.text_files import read_pieces

#: Longest token taken, bytes; names and paths are shorter by far.
LONGEST_TOKEN = 4096
#: Most tokens of one statement or one record.
MOST_TOKENS = 100_000

#: A string in quotes, a mark of punctuation, or anything else without blanks; a lone quote is an unclosed string.
_TOKEN = re.compile(rb'"[^"\n]*"|[{};,]|[^\s{};,"]+|"')


class _Held(NamedTuple):
    """A piece with tokens that are still ahead."""

    text: bytes
    #: Line it begins on, and numbers of its first token and of the first token after it.
    line: int
    first: int
    end: int


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

    def expect(self, token: bytes) -> None:
        """Pass this token.

        Raises:
            WaferFileError: `broken_structure` if there is another token.
        """
        found = self.next()
        if found != token:
            raise self.error("broken_structure", f"expected {shown(token)}, got {shown(found)}", -1)

    def expect_end(self) -> None:
        """Pass the semicolon after the end mark.

        Raises:
            WaferFileError: `broken_structure` if more follows: it would be lost.
        """
        self.expect(b";")
        word = self.next_or_end()
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

    def skip_past(self, end: bytes) -> None:
        """Pass everything up to and including the next `end`."""
        while (place := self.find(end)) is None:
            self._at = len(self._tokens)
            if not self.fill():
                raise self.error("truncated", f"expected {shown(end)}, the file ends")
        self._at += place + 1

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
