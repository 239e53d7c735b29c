"""Wafers as KLARF 1.2, nested KLARF 1.8, SINF and plain maps, written by our own hand; and texts damaged at random."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

HEADER_12 = """FileVersion {version};
FileTimestamp 03-04-2026 00:00:00;
InspectionStationID "Maker" "Model" "T7";
SampleType WAFER;
ResultTimestamp 03-04-26 05:06:07;
LotID "L1";
SampleSize 1 300;
SetupID "recipe" 03-04-26 05:06:07;
StepID "M1";
SampleOrientationMarkType NOTCH;
OrientationMarkLocation DOWN;
DiePitch 10000 12000;
DieOrigin 0 0;
"""


@dataclass(frozen=True)
class DrawnWafer:
    """A wafer as our writers take it: whole micrometres within dies."""

    wafer_id: str
    slot: int
    centre: tuple[int, int]
    #: DEFECTID, XREL, YREL, XINDEX, YINDEX, TEST.
    defects: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)

    @property
    def points(self) -> list[tuple[float, float]]:
        """Positions from the centre, micrometres, in order."""
        return [
            (float(x + 10000 * i - self.centre[0]), float(y + 12000 * j - self.centre[1]))
            for _, x, y, i, j, _ in self.defects
        ]

    @property
    def by_test(self) -> dict[int, int]:
        """Number of defects by test."""
        counts = {1: 0}
        for defect in self.defects:
            counts[defect[5]] = counts.get(defect[5], 0) + 1
        return counts


def draw_wafers(rng: random.Random) -> list[DrawnWafer]:
    """One to three wafers of up to twelve defects, all at places of their own, some without any."""
    restart = rng.random() < 0.3
    return [
        DrawnWafer(
            f"W{number}",
            number,
            (rng.randrange(-50, 50), rng.randrange(-50, 50)),
            [
                (0 if restart else at + 1, rng.randrange(1, 9999), rng.randrange(1, 11999), at - 5, at % 7 - 3, test)
                for at in range(rng.choice([0, 1, 2, 5, 12]))
                for test in [rng.choice([1, 1, 1, 2])]
            ],
        )
        for number in range(1, rng.choice([1, 1, 2, 3]) + 1)
    ]


def klarf12(wafers: list[DrawnWafer], *, version: str = "1 2", summary: bool = True) -> str:
    """KLARF 1.2; `summary` counts the defects of each test."""
    return HEADER_12.format(version=version) + "".join(_wafer12(w, summary) for w in wafers) + "EndOfFile;\n"


def _wafer12(wafer: DrawnWafer, summary: bool) -> str:
    rows = "".join("\n " + " ".join(map(str, defect)) for defect in wafer.defects)
    counts = "".join(f"\n {test} {number}" for test, number in wafer.by_test.items())
    return (
        f'WaferID "{wafer.wafer_id}";\nSlot {wafer.slot};\n'
        f"SampleCenterLocation {wafer.centre[0]} {wafer.centre[1]};\nInspectionTest 1;\n"
        "DefectRecordSpec 6 DEFECTID XREL YREL XINDEX YINDEX TEST;\n"
        f"DefectList{rows};\n" + (f"SummarySpec 2 TESTNO NDEFECT;\nSummaryList{counts};\n" if summary else "")
    )


def klarf18(wafers: list[DrawnWafer], *, summary: bool = True) -> str:
    """Nested KLARF 1.8 of the same wafers, in nanometres."""
    records = "".join(_wafer18(wafer, summary) for wafer in wafers)
    return (
        'Record FileRecord "1.8"\n{\n Record LotRecord "L1"\n {\n  Field DiePitch 2 {10000000, 12000000}\n'
        "  Field OrientationMarkLocation 1 {0}\n"
        '  Field ResultTimestamp 2 {"2026-03-04", "05:06:07"}\n  Field SampleSize 2 {300000000, 0}\n'
        f'  Field StepID 1 {{"M1"}}\n{records} }}\n}}\nEndOfFile;\n'
    )


def _wafer18(wafer: DrawnWafer, summary: bool) -> str:
    rows = "".join(
        f"     {number} {x * 1000} {y * 1000} {i} {j} {test};\n" for number, x, y, i, j, test in wafer.defects
    )
    counts = "".join(f"      {test} {number};\n" for test, number in wafer.by_test.items())
    listed = (
        "   Record SummaryRecord\n   {\n    List TestSummaryList\n    {\n"
        f"     Columns 2 {{ int32 TESTNO, int32 NDEFECT }}\n     Data {len(wafer.by_test)}\n     {{\n{counts}     }}\n"
        "    }\n   }\n"
    )
    return (
        f'  Record WaferRecord "{wafer.wafer_id}"\n  {{\n   Field DieOrigin 2 {{0, 0}}\n'
        f"   Field SampleCenterLocation 2 {{{wafer.centre[0] * 1000}, {wafer.centre[1] * 1000}}}\n"
        f"   Field SlotNumber 1 {{{wafer.slot}}}\n   List DefectList\n   {{\n"
        "    Columns 6 { int32 DEFECTID, int32 XREL, int32 YREL, int32 XINDEX, int32 YINDEX, int32 TEST }\n"
        f"    Data {len(wafer.defects)}\n    {{\n{rows}    }}\n   }}\n{listed if summary else ''}  }}\n"
    )


@dataclass(frozen=True)
class DrawnMap:
    """Dies of a wafer by row, the top row first: `None` outside, else a code."""

    rows: list[list[str | None]]

    @property
    def failing(self) -> int:
        """Dies of another code than 01."""
        return sum(code not in (None, "01") for row in self.rows for code in row)


def draw_map(rng: random.Random) -> DrawnMap:
    """A round wafer of 4 to 9 dies a side."""
    side = rng.randrange(4, 10)
    middle = (side - 1) / 2
    inside = [[(i - middle) ** 2 + (j - middle) ** 2 <= (side / 2) ** 2 for j in range(side)] for i in range(side)]
    return DrawnMap([[rng.choice(["01", "01", "01", "02", "0A"]) if dot else None for dot in row] for row in inside])


def sinf(drawn: DrawnMap) -> str:
    """SINF of a map; it counts its rows and columns."""
    rows = "".join(f"RowData:{' '.join(code or '__' for code in row)}\n" for row in drawn.rows)
    return (
        f"DEVICE:D\nLOT:L1\nWAFER:W1\nFNLOC:180\nROWCT:{len(drawn.rows)}\nCOLCT:{len(drawn.rows[0])}\n"
        f"BCEQU:01\nREFPX:1\nREFPY:1\nDUTMS:mm\nXDIES:8\nYDIES:8\n{rows}"
    )


def _lines(change: Callable[[list[str], random.Random], None]) -> Callable[[str, random.Random], str]:
    def changed(text: str, rng: random.Random) -> str:
        lines = text.splitlines(keepends=True)
        change(lines, rng)
        return "".join(lines)

    return changed


def _lose_line(lines: list[str], rng: random.Random) -> None:
    del lines[rng.randrange(len(lines))]


def _swap_lines(lines: list[str], rng: random.Random) -> None:
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]


def _swap_statements(text: str, rng: random.Random) -> str:
    parts = text.split(";")
    i, j = rng.randrange(len(parts)), rng.randrange(len(parts))
    parts[i], parts[j] = parts[j], parts[i]
    return ";".join(parts)


def _at_semicolon(put: str) -> Callable[[str, random.Random], str]:
    def changed(text: str, rng: random.Random) -> str:
        places = [at for at, letter in enumerate(text) if letter == ";"] or [0]
        at = rng.choice(places)
        return text[:at] + put + text[at + 1 :]

    return changed


def _drop_column(text: str, rng: random.Random) -> str:
    """A column's name is lost, its number right or not."""
    names = ["DEFECTID", "XREL", "YREL", "XINDEX", "YINDEX", "TEST"]
    text = text.replace(rng.choice(names), "", 1)
    return text.replace("Spec 6", "Spec 5", 1) if rng.random() < 0.5 else text


def _case(text: str, rng: random.Random) -> str:
    """A word in another case."""
    words = text.split(" ")
    at = rng.randrange(len(words))
    words[at] = rng.choice([str.lower, str.upper])(words[at])
    return " ".join(words)


def _drop_word(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    del words[rng.randrange(len(words))]
    return " ".join(words)


def _letter(text: str, rng: random.Random) -> str:
    """A letter of a word is another."""
    places = [at for at, letter in enumerate(text) if letter.isalpha()]
    at = rng.choice(places)
    return text[:at] + rng.choice("xQz_") + text[at + 1 :]


#: Damage to structure that a reader must notice or undo: values are left as they are.
DAMAGE: dict[str, Callable[[str, random.Random], str]] = {
    "cut": lambda text, rng: text[: rng.randrange(len(text))],
    "cut at a line": lambda text, rng: "".join(text.splitlines(keepends=True)[: rng.randrange(text.count("\n"))]),
    "lose a semicolon": _at_semicolon(""),
    "double a semicolon": _at_semicolon(";;"),
    "comma for a semicolon": _at_semicolon(","),
    "lose a line": _lines(_lose_line),
    "double a line": _lines(lambda lines, rng: lines.insert(at := rng.randrange(len(lines)), lines[at])),
    "swap lines": _lines(_swap_lines),
    "swap statements": _swap_statements,
    "lose a column": _drop_column,
    "another case": _case,
    "lose a word": _drop_word,
    "another letter": _letter,
    "lose a line's end": lambda text, rng: text.replace("\n", " ", rng.randrange(4)),
    "ends of DOS": lambda text, _: text.replace("\n", "\r\n"),
    "tabs": lambda text, _: text.replace(" ", "\t"),
}


def damaged_bytes(text: bytes, rng: random.Random) -> bytes:
    """Text cut off, a stretch of it lost, with bytes changed, lines doubled or swapped, words lost or put in."""
    kind = rng.randrange(7)
    at = rng.randrange(len(text) + 1)
    if kind == 0:
        return text[:at]
    if kind == 1:
        changed = bytearray(text)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed)
    if kind == 2:
        odd = [b"1e308", b"-9999999999999", b"{", b"}", b";", b",", b'"', b"nan", b"\0", b"x" * 5000, b"_", b"\n", b"0"]
        return text[:at] + rng.choice(odd) + text[at:]
    if kind == 6:
        return text[:at] + text[at + rng.randrange(1, 40) :]
    separator = b" " if kind == 3 else b"\n"
    parts = text.split(separator)
    i, j = rng.randrange(len(parts)), rng.randrange(len(parts))
    if kind == 3:
        del parts[i]
    elif kind == 4:
        parts.insert(j, parts[i])
    else:
        parts[i], parts[j] = parts[j], parts[i]
    return separator.join(parts)
