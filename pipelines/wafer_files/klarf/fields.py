"""Statements of a KLARF file that place a wafer's defects and name the wafer: the same names in all versions."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Literal

from sparsewatch.pipelines.wafer_files.faults import FaultCode
from sparsewatch.pipelines.wafer_files.inspections import NO_TIME
from sparsewatch.schemas.units import moment_us

#: Widest wafer, pitch and offset accepted, micrometres: 450 mm is the widest wafer made.
WIDEST_UM = 1e6
#: Narrowest wafer and narrowest die accepted, micrometres; a file that mixes up its units has narrower ones.
NARROWEST_UM = 20_000.0
NARROWEST_DIE_UM = 50.0

#: Largest number of a defect's record that is taken for one.
LARGEST = 1e12
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
        "Slot",
    }
)
#: Statements of one value.
_SINGLE = frozenset({"WaferID", "LotID", "StepID", "Slot"})
#: Vendor, model and machine.
_MOST_STATION = 3

#: Degrees from DOWN, counter-clockwise.
_MARKS = {"DOWN": 0.0, "BOTTOM": 0.0, "RIGHT": 90.0, "UP": 180.0, "TOP": 180.0, "LEFT": 270.0}
_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})|(\d{1,2})[-/](\d{1,2})[-/](\d{4}|\d{2})")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?", re.IGNORECASE)
#: Two-digit years from this on are of the last century, as in C's strptime.
_PIVOT = 69

Fields = Mapping[str, Sequence[str]]


class FieldError(ValueError):
    """A statement that is missing or does not fit; the reader of the file adds the place."""

    def __init__(self, code: FaultCode, message: str) -> None:
        self.code: FaultCode = code
        super().__init__(message)


#: What DieOrigin means: what a file's RADIUS column says, else `added`; or what a user states.
DieOrigin = Literal["auto", "added", "ignored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KlarfReading:
    """What a KLARF does not state itself."""

    #: Time zone of times that name none.
    zone: tzinfo = UTC
    #: Whether counts that a file declares must be those of its list.
    check_counts: bool = True
    die_origin: DieOrigin = "auto"


@dataclass(frozen=True, slots=True)
class WaferFacts:
    """Statements of a file about one wafer, without its defects. Lengths are micrometres."""

    #: The slot where the file leaves the wafer's name empty.
    wafer_id: str
    #: Place in the carrier as the file writes it; empty if it does not.
    slot: str
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
    _check_numbers_of_values(fields)
    slot = _single(fields, "Slot")
    return WaferFacts(
        wafer_id=_single(fields, "WaferID") or slot or _text(fields, "WaferID"),
        slot=slot.lstrip("0") or slot,
        lot=_text(fields, "LotID"),
        step=_single(fields, "StepID"),
        # Vendor, model, machine: the machine is what a fab calls a tool.
        tool=next((name for name in reversed(fields.get("InspectionStationID", ())) if name.strip()), ""),
        time_us=_time_us(fields, zone),
        radius_um=_diameter_um(fields, nanometres=nanometres) / 2,
        die_pitch=_pitch(fields, unit),
        die_origin=_pair(fields, "DieOrigin", unit) if "DieOrigin" in fields else (0.0, 0.0),
        centre=_pair(fields, "SampleCenterLocation", unit),
        mark_degrees=_mark(fields),
        unit_um=unit,
    )


def _check_numbers_of_values(fields: Fields) -> None:
    """Refuse statements of more values than they have: a name in two words, or two statements run together."""
    for name, most in (*((name, 1) for name in sorted(_SINGLE)), ("InspectionStationID", _MOST_STATION)):
        if len(values := fields.get(name, ())) > most:
            message = f"expected at most {most} value(s) in {name} (blanks need quotes; is a ';' lost?)"
            raise FieldError("bad_field", f"{message}, got {' '.join(values)[:60]!r}")


def _single(fields: Fields, name: str) -> str:
    return " ".join(fields.get(name, ())).strip()


def _required(fields: Fields, name: str) -> Sequence[str]:
    if name not in fields:
        raise FieldError("missing_field", f"expected a statement {name} before the wafer's defects, the file has none")
    return fields[name]


def _text(fields: Fields, name: str) -> str:
    text = " ".join(_required(fields, name)).strip()
    if not text:
        slot = " or a Slot in its place" if name == "WaferID" else ""
        raise FieldError("bad_field", f"expected a name in {name}{slot}, got none")
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


def _pitch(fields: Fields, unit: float) -> tuple[float, float]:
    pitch = _pair(fields, "DiePitch", unit, positive=True)
    if min(pitch) < NARROWEST_DIE_UM:
        units = "a KLARF 1.8 gives nanometres" if unit < 1 else "KLARF gives micrometres"
        message = f"expected a DiePitch of {NARROWEST_DIE_UM:g} um or more ({units})"
        raise FieldError("bad_field", f"{message}, got {pitch[0]:g} and {pitch[1]:g} um")
    return pitch


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
    if not NARROWEST_UM <= diameter <= WIDEST_UM:
        between = f"a diameter above {NARROWEST_UM:g} and up to {WIDEST_UM:g} um in SampleSize"
        raise FieldError("bad_field", f"expected {between}, got {diameter:g} um")
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
    """Microseconds of `mm-dd-yy`, `mm-dd-yyyy` or `yyyy-mm-dd`, then a blank or `T`, then `hh:mm[:ss]`.

    An ISO time may end in its own zone, `Z` or `+hh:mm`.

    >>> from datetime import UTC
    >>> parse_klarf_time_us("01-02-70 00:00:01", "ResultTimestamp", UTC)
    86401000000
    >>> parse_klarf_time_us("1970-01-02T01:00:01+01:00", "ResultTimestamp", UTC)
    86401000000

    Raises:
        FieldError: If it is none of these, an impossible date, or before 1970.
    """
    date_text, clock_text = re.match(r"([^\sT]*)[\sT]*(.*)", text.strip(), re.DOTALL | re.IGNORECASE).groups()  # type: ignore[union-attr]
    date, clock = _DATE.fullmatch(date_text), _TIME.fullmatch(clock_text.strip())
    try:
        if date is None or clock is None:
            raise ValueError  # noqa: TRY301
        own = zone if clock[4] is None else _offset(clock[4])
        time_us = moment_us(datetime(*_ymd(date), int(clock[1]), int(clock[2]), int(clock[3] or 0), tzinfo=own))
    except (ValueError, OverflowError):
        time_us = -1
    if time_us < 0:
        expected = "mm-dd-yyyy hh:mm:ss or yyyy-mm-ddThh:mm:ss"
        raise FieldError("bad_field", f"expected {expected} from 1970 on in {name}, got {text[:60]!r}")
    return time_us


def _offset(text: str) -> tzinfo:
    return UTC if text in "Zz" else datetime.strptime(text.replace(":", ""), "%z").tzinfo or UTC


def _ymd(date: re.Match[str]) -> tuple[int, int, int]:
    if date[1] is not None:
        return int(date[1]), int(date[2]), int(date[3])
    year = int(date[6])
    if len(date[6]) == 2:
        year += 1900 if year >= _PIVOT else 2000
    return year, int(date[4]), int(date[5])
