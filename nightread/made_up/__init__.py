"""The made-up feed: bilingual chest CT reports for demonstrations, with the 18 findings as ground truth.

Two hospitals with habits of their own, and two periods: in the later one new words have come up and other findings
are common. Nobody was ever examined: every identifier says "made-up", every FHIR resource is tagged as test data, and
the folder holds a README that says so.
"""

from nightread.made_up.amending import Change
from nightread.made_up.annotations import write_annotations
from nightread.made_up.fhir import CHEST_CT_CODE, CT_MODALITY, Written, write_fhir, write_night
from nightread.made_up.hospitals import Hospital
from nightread.made_up.nights import Night, next_night
from nightread.made_up.reports import FINDINGS, MadeUpReport, Period, reports
from nightread.made_up.wording import Style
from nightread.made_up.writing import Statement

__all__ = [
    "CHEST_CT_CODE",
    "CT_MODALITY",
    "FINDINGS",
    "Change",
    "Hospital",
    "MadeUpReport",
    "Night",
    "Period",
    "Statement",
    "Style",
    "Written",
    "next_night",
    "reports",
    "write_annotations",
    "write_fhir",
    "write_night",
]
