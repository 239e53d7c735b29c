"""Names of KLARF's statements, records and lists: how a lost semicolon, another case and a misspelling are noticed.

Readers pass over what they do not use, so that files of any maker are read. A name that only looks unused would take
its content with it: the second wafer of a file, or the summary its list is compared with.
"""

import difflib
from functools import lru_cache

#: Names that place a wafer's defects, name it, or tell how many it has.
_USED = """
    FileVersion FileTimestamp ResultTimestamp LotID WaferID StepID InspectionStationID SampleSize Slot SlotNumber
    OrientationMarkLocation DiePitch DieOrigin SampleCenterLocation DefectRecordSpec DefectList SummarySpec SummaryList
    EndOfFile FileRecord LotRecord WaferRecord SummaryRecord TestSummaryList InspectionTest
"""
#: Other names seen in files of several makers.
_PASSED = """
    TiffSpec TiffFileName Filename ImageFileName SampleType DeviceID SetupID ResultsID SampleOrientationMarkType
    WaferScribe ClassLookup ClassLookupList SampleDieMap OrientationInstructions OrientationInstruction
    InspectionOrientation CoordinatesMirrored SampleTestPlan SampleTestPlanList SampleTestReferencePlan AreaPerTest
    CustomWaferList RemovedDieList ProcessEquipmentIDList ProcessEquipmentState LotStatus WaferStatus OperatorID Product
    ClassificationSource RecipeID RecipeVersion DefectClusterSpec DefectClusterSetup ClusterClassificationList
    AlignmentPoints AlignmentImages AlignmentImageTransforms DatabaseAlignmentMarks TestParametersSpec
    TestParametersList DieStreetCenter FullWaferSummaryList TestRecord
"""
#: Names that are long enough to be known in spite of a wrong letter.
_GUARDED = tuple(
    name for name in _USED.split() if len(name) >= 7 and name not in {"FileVersion", "FileRecord", "SlotNumber"}
)
_KNOWN = {name.lower(): name for name in (*_USED.split(), *_PASSED.split())}
#: Likeness from which on a name is a misspelling: one letter of seven, two of fifteen.
_ALIKE = 0.85


def canonical(word: str) -> str:
    """The known name of a word in any case, else the word itself.

    >>> canonical("DEFECTLIST"), canonical("Custom")
    ('DefectList', 'Custom')
    """
    return _KNOWN.get(word.lower(), word)


def is_name(token: bytes) -> bool:
    """Whether a token, not in quotes, is a known name in any case."""
    return token[:1].isalpha() and is_known(token.decode("latin-1"))


def is_known(word: str) -> bool:
    """Whether a word, in any case, is a known name."""
    return word.lower() in _KNOWN


def begins_as_name(token: bytes) -> bool:
    """Whether a statement may begin with this token: a word, not a number, a text in quotes or a mark."""
    return token[:1].isalpha() or token[:1] == b"_"


@lru_cache(maxsize=1024)
def misspelt(word: str) -> str | None:
    """The name that an unknown word most likely is, None if it is like none.

    >>> misspelt("DefectLixt"), misspelt("ToolGroup")
    ('DefectList', None)
    """
    if is_known(word):
        return None
    lower = {name.lower(): name for name in _GUARDED}
    found = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=_ALIKE)
    return lower[found[0]] if found else None
