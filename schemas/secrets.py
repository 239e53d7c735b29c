"""Secrets: values that reach the one place that needs them and show nowhere else.

A `Secret` is the text that a client library takes as a password. Printed, formatted or shown as part of a structure it
is `***`; `reveal` gives the text. As a second line of defence, `redacted` takes secrets that this process has seen out
of a text, in the forms in which libraries write them.
"""

import base64
import json
from typing import NoReturn, Self

_HIDDEN = "***"
#: Shorter secrets are not looked for in texts: they would be found in every other word.
_LEAST_LENGTH = 4

#: Texts to look for, longest first.
_FORMS: list[str] = []


class Secret(str):
    """A text that shows as `***`; of an f-string, `print`, `%s`, `repr`, or a structure that holds it.

    >>> password = Secret("correct horse")
    >>> password, f"{password}", {"password": password}
    (***, '***', {'password': ***})
    >>> password.reveal()
    'correct horse'
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """A secret; `redacted` finds it from now on."""
        _remember(text)
        return super().__new__(cls, text)

    def reveal(self) -> str:
        """The text itself."""
        return "".join(self)

    def __repr__(self) -> str:
        return _HIDDEN

    def __str__(self) -> str:
        return _HIDDEN

    def __format__(self, spec: str) -> str:
        return format(_HIDDEN, spec)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is never stored or sent: pass on what names it")


def redacted(text: str) -> str:
    """A text without the secrets that this process has seen."""
    for form in _FORMS:
        text = text.replace(form, _HIDDEN)
    return text


def _remember(secret: str) -> None:
    if len(secret) < _LEAST_LENGTH:
        return
    quoted = {secret, repr(secret)[1:-1], ascii(secret)[1:-1], json.dumps(secret)[1:-1]}
    encoded = secret.encode()
    forms = quoted | {repr(encoded)[2:-1], base64.b64encode(encoded).decode()}
    _FORMS[:] = sorted(forms.union(_FORMS), key=len, reverse=True)
