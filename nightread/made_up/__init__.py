"""The made-up feed: bilingual chest CT reports for demonstrations, with the 18 findings as ground truth.

Nobody was ever examined: every identifier says "made-up", every FHIR resource is tagged as test data, and
the folder holds a README that says so.
"""

from nightread.made_up.annotations import write_annotations
from nightread.made_up.fhir import CHEST_CT_CODE, CT_MODALITY, Written, write_fhir
from nightread.made_up.reports import FINDINGS, MadeUpReport, Style, reports

__all__ = [
    "CHEST_CT_CODE",
    "CT_MODALITY",
    "FINDINGS",
    "MadeUpReport",
    "Style",
    "Written",
    "reports",
    "write_annotations",
    "write_fhir",
]
