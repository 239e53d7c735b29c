"""Stored bytes and model folders: what they held, or an error that names what was expected."""

import hashlib
from collections.abc import Callable
from functools import cache, partial

import msgspec

from sparsewatch.detectors.artefacts.artefact import WEIGHTS
from sparsewatch.detectors.artefacts.versions import MANIFEST
from sparsewatch.schemas.errors import ConfigError, ModelError, StateError
from tests.fuzz.decoder import ACCEPTED, Case, Decoder
from tests.kit import stored_formats, stored_models
from tests.kit.stored_formats import GOLDEN, Stored
from tests.kit.stored_models import MODELS


def _read_stored(case: Case, *, stored: Stored) -> str:
    stored.decode(case.data)
    return ACCEPTED


def _golden(stored: Stored) -> list[bytes]:
    """The golden file, and of that format as it is written today."""
    return list(dict.fromkeys([(GOLDEN / stored.file).read_bytes(), stored.encode()]))


def _formats() -> tuple[Decoder, ...]:
    return tuple(
        Decoder(
            f"stored {stored.file}",
            partial(_golden, stored),
            partial(_read_stored, stored=stored),
            text=stored.file.endswith((".json", ".jsonl")),
            errors=(StateError,) if stored.of is not None else (StateError, ModelError, ConfigError),
        )
        for stored in stored_formats.STORED
        # Only people read the log of retraining.
        if stored.file != "retraining-log-1.jsonl"
    )


@cache
def _folders(kind: str) -> list[str]:
    return [name for name in stored_models.STORED if name.partition("-")[0] == kind]


def _parts(kind: str, file: str) -> list[bytes]:
    return [(MODELS / name / "0001" / file).read_bytes() for name in _folders(kind)]


def _manifest_read(case: Case, *, kind: str) -> str:
    return _loaded(case, kind, case.data, _parts(kind, WEIGHTS)[case.seed])


def _weights_read(case: Case, *, kind: str) -> str:
    """Damaged tensors under a digest that fits them: what a digest does not show."""
    manifest = msgspec.json.decode(_parts(kind, MANIFEST)[case.seed])
    manifest["files"][WEIGHTS] = hashlib.sha256(case.data).hexdigest()
    return _loaded(case, kind, msgspec.json.encode(manifest), case.data)


def _loaded(case: Case, kind: str, manifest: bytes, weights: bytes) -> str:
    folder = case.folder / f"{kind}-fuzz" / "0001"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_bytes(manifest)
    (folder / WEIGHTS).write_bytes(weights)
    stored_models.load(folder.parent)
    return ACCEPTED


def _model(kind: str) -> tuple[Decoder, ...]:
    parts: tuple[tuple[str, str, Callable[..., str], bool], ...] = (
        ("manifest", MANIFEST, _manifest_read, True),
        ("tensors", WEIGHTS, _weights_read, False),
    )
    return tuple(
        Decoder(
            f"model {kind} {name}",
            partial(_parts, kind, file),
            partial(read, kind=kind),
            text=text,
            errors=(ModelError,),
        )
        for name, file, read, text in parts
    )


DECODERS = (*_formats(), *_model("reference"), *_model("rows"), *_model("wafer"))
