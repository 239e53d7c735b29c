"""Decoders that do what none may, for the test of the campaign."""

import ctypes
import threading

from sparsewatch.schemas.errors import SchemaError
from tests.fuzz.decoder import ACCEPTED, Case, Decoder

_SEED = b"0123456789" * 4


def _sound(_: Case) -> str:
    return ACCEPTED


def _crash(case: Case) -> str:
    if len(case.data) > 60:
        ctypes.string_at(0)
    return ACCEPTED


def _foreign(case: Case) -> str:
    if len(case.data) < 20:
        raise KeyError("not named")
    if len(case.data) > 60:
        raise SchemaError("named")
    return ACCEPTED


def _endless(case: Case) -> str:
    if len(case.data) > 60:
        threading.Event().wait()
    return ACCEPTED


def _hungry(case: Case) -> str:
    if len(case.data) > 60:
        bytearray(5 << 30)
    return ACCEPTED


DECODERS = tuple(
    Decoder(read.__name__.strip("_"), lambda: [_SEED], read) for read in (_sound, _crash, _foreign, _endless, _hungry)
)
