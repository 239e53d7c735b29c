"""Statements of a KLARF file that place a wafer's defects and name the wafer: the same names in all versions."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from sparsewatch.pipelines.wafer_files.faults import FaultCode
from sparsewatch.pipelines.wafer_files.inspections import NO_TIME
from sparsewatch.schemas.units import moment_us

#: Widest wafer, pitch and offset accepted, micrometres: 450 mm is the widest wafer made.
WIDEST_UM = 1e6

#: Most wafers of one file.
MOST_WAFERS = 10_000

#: Statements that are used; `LotID` and `WaferID` are names of records in version 1.8.
USED_FIELDS = frozenset(
    {
        "FileTimestamp",
        "ResultTimestamp",
        "LotID",
        "WaferID",
        "StepID",
        "InspectionStationID",
        "SampleSize",
        "OrientationMarkLocation",
        "DiePitch",
        "DieOrigin",
        "SampleCenterLocation",
    }
)

#: Degrees from DOWN, counter-clockwise.
_MARKS = {"DOWN": 0.0, "BOTTOM": 0.0, "RIGHT": 90.0, "UP": 180.0, "TOP": 180.0, "LEFT": 270.0}
_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})|(\d{1,2})[-/](\d{1,2})[-/](\d{4}|\d{2})")
_TIME = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})(?:\.\d+)?")
#: Two-digit years from this on are of the last century, as in C's strptime.
_PIVOT = 69

Fields = Mapping[str, Sequence[str]]


class FieldError(ValueError):
    """A statement that is missing or does not fit; the reader of the file adds the place."""

    def __init__(self, code: FaultCode, message: str) -> None:
        self.code: FaultCode = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class WaferFacts:
    """Statements of a file about one wafer, without its defects. Lengths are micrometres."""

    wafer_id: str
    lot: str
    step: str
    tool: str
    #: Microseconds since the epoch, `NO_TIME` if the file states none.
    time_us: int
    radius_um: float
    die_pitch: tuple[float, float]
    die_origin: tuple[float, float]
    #: Centre of the wafer from the origin of die (0, 0).
    centre: tuple[float, float]
    #: Where notch or flat is: degrees from DOWN, counter-clockwise.
    mark_degrees: float
    #: Micrometres of a defect's coordinate 1.
    unit_um: float

    @property
    def identity(self) -> dict[str, str]:
        """What names the wafer."""
        return {"wafer_id": self.wafer_id, "lot": self.lot, "step": self.step, "tool": self.tool}


def wafer_facts(fields: Fields, *, nanometres: bool, zone: tzinfo) -> WaferFacts:
    """A wafer's facts from its statements.

    Args:
        fields: Texts of each statement's values; `WaferID` and `LotID` among them.
        nanometres: As version 1.8 writes lengths; else micrometres, and the sample's size in millimetres.
        zone: Time zone of the file's times, which name none.

    Raises:
        FieldError: If a statement is missing or does not fit.
    """
    unit = 1e-3 if nanometres else 1.0
    return WaferFacts(
        wafer_id=_text(fields, "WaferID"),
        lot=_text(fields, "LotID"),
        step=" ".join(fields.get("StepID", ())).strip(),
        # Vendor, model, machine: the machine is what a fab calls a tool.
        tool=next((name for name in reversed(fields.get("InspectionStationID", ())) if name.strip()), ""),
        time_us=_time_us(fields, zone),
        radius_um=_diameter_um(fields, nanometres=nanometres) / 2,
        die_pitch=_pair(fields, "DiePitch", unit, positive=True),
        die_origin=_pair(fields, "DieOrigin", unit) if "DieOrigin" in fields else (0.0, 0.0),
        centre=_pair(fields, "SampleCenterLocation", unit),
        mark_degrees=_mark(fields),
        unit_um=unit,
    )


def _required(fields: Fields, name: str) -> Sequence[str]:
    if name not in fields:
        raise FieldError("missing_field", f"expected a statement {name} before the wafer's defects, the file has none")
    return fields[name]


def _text(fields: Fields, name: str) -> str:
    text = " ".join(_required(fields, name)).strip()
    if not text:
        raise FieldError("bad_field", f"expected a name in {name}, got none")
    return text


def _number(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in text:
        raise FieldError("bad_field", f"expected numbers in {name}, got {text[:60]!r}")
    return number


def _pair(fields: Fields, name: str, unit: float, *, positive: bool = False) -> tuple[float, float]:
    values = _required(fields, name)
    if len(values) != 2:
        raise FieldError("bad_field", f"expected two numbers in {name}, got {len(values)}")
    x, y = (_number(text, name) * unit for text in values)
    if max(abs(x), abs(y)) > WIDEST_UM or (positive and min(x, y) <= 0):
        least = "above 0 and " if positive else ""
        raise FieldError("bad_field", f"expected lengths {least}up to {WIDEST_UM:g} um in {name}, got {x:g} and {y:g}")
    return x, y


def _diameter_um(fields: Fields, *, nanometres: bool) -> float:
    values = [_number(text, "SampleSize") for text in _required(fields, "SampleSize")]
    # 1.8: width and height, of which round samples leave out the second; before: 1 for round, then the diameter.
    if nanometres and len(values) == 2 and values[1] in (0, values[0]):
        diameter = values[0] * 1e-3
    elif not nanometres and len(values) == 2 and values[0] == 1:
        diameter = values[1] * 1e3
    else:
        written = "diameter in nm, 0" if nanometres else "1, diameter in mm"
        raise FieldError("bad_field", f"expected a round sample in SampleSize ({written}), got {values[:4]}")
    if not 0 < diameter <= WIDEST_UM:
        raise FieldError("bad_field", f"expected a diameter above 0 and up to {WIDEST_UM:g} um, got {diameter:g} um")
    return diameter


def _mark(fields: Fields) -> float:
    text = " ".join(_required(fields, "OrientationMarkLocation")).strip().upper()
    if text in _MARKS:
        return _MARKS[text]
    return _number(text, "OrientationMarkLocation") % 360


def _time_us(fields: Fields, zone: tzinfo) -> int:
    for name in ("ResultTimestamp", "FileTimestamp"):
        if name in fields:
            return parse_klarf_time_us(" ".join(fields[name]), name, zone)
    return NO_TIME


def parse_klarf_time_us(text: str, name: str, zone: tzinfo) -> int:
    """Microseconds of `mm-dd-yy hh:mm:ss`, `mm-dd-yyyy hh:mm:ss` or `yyyy-mm-dd hh:mm:ss`.

    >>> from datetime import UTC
    >>> parse_klarf_time_us("01-02-70 00:00:01", "ResultTimestamp", UTC)
    86401000000

    Raises:
        FieldError: If it is none of these, an impossible date, or before 1970.
    """
    date_text, _, time_text = text.strip().partition(" ")
    date, clock = _DATE.fullmatch(date_text), _TIME.fullmatch(time_text.strip())
    try:
        if date is None or clock is None:
            raise ValueError  # noqa: TRY301
        moment = datetime(*_ymd(date), *(int(part) for part in clock.groups()), tzinfo=zone)  # type: ignore[misc, arg-type]
        time_us = moment_us(moment)
    except (ValueError, OverflowError):
        time_us = -1
    if time_us < 0:
        raise FieldError("bad_field", f"expected mm-dd-yyyy hh:mm:ss from 1970 on in {name}, got {text[:60]!r}")
    return time_us


def _ymd(date: re.Match[str]) -> tuple[int, int, int]:
    if date[1] is not None:
        return int(date[1]), int(date[2]), int(date[3])
    year = int(date[6])
    if len(date[6]) == 2:
        year += 1900 if year >= _PIVOT else 2000
    return year, int(date[4]), int(date[5])
