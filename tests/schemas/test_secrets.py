"""A secret shows nowhere, and is found in whatever form a library writes it."""

import base64
import copy
import json
import logging
import pickle

import pytest

from sparsewatch.schemas.secrets import Secret, redacted

TEXT = "pa'ss \"wörd\\"


def test_a_secret_does_not_show_however_it_is_printed() -> None:
    secret = Secret(TEXT)
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s %r %s", (secret, secret, {"password": secret}), None)
    shown = [str(secret), repr(secret), f"{secret} {secret!r} {secret:>20}", record.getMessage(), f"{[secret]}"]
    assert all("rd" not in text.replace("password", "") for text in shown), shown


def test_libraries_that_take_its_characters_get_the_text() -> None:
    secret = Secret(TEXT)
    assert secret.reveal() == TEXT
    assert type(secret.reveal()) is str
    assert secret.encode() == TEXT.encode()
    assert "\0".join(["user", secret]) == f"user\0{TEXT}"


@pytest.mark.parametrize("store", [pickle.dumps, copy.deepcopy])
def test_a_secret_is_not_stored(store: object) -> None:
    with pytest.raises(TypeError, match="never stored"):
        store({"password": Secret(TEXT)})  # type: ignore[operator]


@pytest.mark.parametrize(
    "written",
    [
        TEXT,
        f"{TEXT!r}",
        ascii(TEXT),
        json.dumps({"password": TEXT}),
        repr(TEXT.encode()),
        repr(b"x" + TEXT.encode()),
        base64.b64encode(TEXT.encode()).decode(),
    ],
)
def test_texts_are_redacted(written: str) -> None:
    Secret(TEXT)
    assert "rd" not in redacted(f"before {written} after").replace("password", "")
    assert "***" in redacted(written)
    assert redacted("before and after") == "before and after"
