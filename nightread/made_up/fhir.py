"""Made-up reports as a FHIR Bulk Data export: NDJSON of DiagnosticReport (R4)."""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from nightread.made_up.amending import Change
from nightread.made_up.files import write_if_changed
from nightread.made_up.nights import Night
from nightread.made_up.reports import MadeUpReport

LOINC = "http://loinc.org"
CHEST_CT_CODE = "24627-2"  # LOINC: CT Chest
CT_MODALITY = "CT"
SECTIONS = "http://terminology.hl7.org/CodeSystem/v2-0074"
# HL7's own mark for test data
TEST_DATA = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "code": "HTEST",
    "display": "test health data",
}
ACCESSION = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}

README = """# Made up

Everything in this folder is made up by `nightread.made_up` for demonstrations and tests. No patient was examined, no
radiologist wrote this, and whatever looks like a number of a person is made up too. Identifiers begin with "made-up",
and every resource carries the tag HTEST ("test health data") in `meta.tag`.
"""

# What else arrives at night: other examinations, which the feed does not want.
_OTHERS = (
    ("CT Head", "24725-4", "CT", "No acute intracranial hemorrhage. Ventricles are of normal size."),
    ("MR Brain", "24590-2", "NMR", "No diffusion restriction. 급성 뇌경색 소견 없음."),
    ("US Abdomen", "24558-9", "RUS", "Fatty liver. 담낭 결석 없음."),
)
_RESIDENT_NUMBER = "900101-1234567"  # a date and digits; nobody's

Json = dict[str, Any]
_CHEST_CT: Any = {"code": (CHEST_CT_CODE, "CT Chest"), "section": CT_MODALITY}


@dataclass(frozen=True, slots=True)
class Written:
    """What a reader that wants chest CT should make of the folder; files in the order in which they are
    read.
    """

    files: tuple[Path, ...]
    reports: int
    amended: int = 0
    withdrawn: int = 0
    skipped: int = 0
    quarantined: int = 0


def write_fhir(
    reports: Iterable[MadeUpReport], folder: Path, *, per_file: int = 5_000, every_outcome: bool = False
) -> Written:
    """Write the reports to `DiagnosticReport.NNN.ndjson` in a folder that also gets a README.

    With `every_outcome` (needs three reports) an aftermath follows: one report amended, one entered in
    error, one deleted; three other examinations to be skipped; a broken line, a made-up resident number and
    a report that is only a link, to be quarantined. Files that hold exactly this already are left alone.
    """
    write_if_changed(folder / "README.md", README)
    remaining = iter(reports)
    first: list[MadeUpReport] = []
    files: list[Path] = []
    count = 0
    while chunk := list(islice(remaining, per_file)):
        first += chunk[: 3 - len(first)]
        count += len(chunk)
        files.append(folder / f"DiagnosticReport.{len(files):03d}.ndjson")
        write_if_changed(files[-1], "".join(_line(resource(report)) for report in chunk))
    if not every_outcome:
        return Written(tuple(files), count)
    if len(first) < 3:
        raise ValueError(f"every_outcome needs three reports, not {count}: one each to amend, retract and delete")
    return _with_aftermath(Written(tuple(files), count), folder, *first)


def write_night(night: Night, folder: Path, *, number: int = 2) -> Written:
    """Write a later night, number 2 or more, beside what `write_fhir` and earlier nights have left in the folder.

    Its files are read after theirs: the new and the amended reports and those entered in error, then the deletions.
    """
    if number < 2:
        raise ValueError(f"the first night is written by write_fhir; a later one has a number from 2 on, not {number}")
    lines = [
        *(resource(report) for report in night.fresh),
        *(resource(report, status="amended") for report in night.amended),
        *(_retraction(report) for report in night.retracted),
    ]
    files = [folder / f"DiagnosticReport.night-{number:03d}.ndjson"]
    write_if_changed(files[0], "".join(map(_line, lines)))
    if night.deleted:
        files.append(folder / "deleted" / f"Bundle.night-{number:03d}.ndjson")
        write_if_changed(files[1], _line(_deletions(night.deleted)))
    withdrawn = len(night.retracted) + len(night.deleted)
    return Written(tuple(files), len(night.fresh), amended=len(night.amended), withdrawn=withdrawn)


def resource(report: MadeUpReport, *, status: str = "final") -> Json:
    """One DiagnosticReport."""
    return _resource(
        report,
        source_id=report.source_id,
        status=status,
        presentedForm=[_form(report.text)],
        **_CHEST_CT,
    )


def _resource(
    report: MadeUpReport, *, source_id: str, code: tuple[str, str], section: str, status: str = "final", **rest: Any
) -> Json:
    return {
        "resourceType": "DiagnosticReport",
        "id": source_id,
        "meta": {"lastUpdated": _instant(report.updated_at), "tag": [TEST_DATA]},
        "identifier": [{"type": ACCESSION, "system": "urn:nightread:made-up:accession", "value": report.accession}],
        "status": status,
        "category": [{"coding": [{"system": SECTIONS, "code": "RAD"}, {"system": SECTIONS, "code": section}]}],
        "code": {"coding": [{"system": LOINC, "code": code[0], "display": code[1]}]},
        "subject": {"reference": f"Patient/{report.patient}"},
        "effectiveDateTime": _instant(report.study_at),
        "issued": _instant(report.issued_at),
        **rest,
    }


def _with_aftermath(
    written: Written, folder: Path, amended: MadeUpReport, retracted: MadeUpReport, deleted: MadeUpReport
) -> Written:
    lines = [
        _line(resource(amended.amended(Change.FOUND), status="amended")),
        _line(_retraction(retracted)),
        *(
            _line(
                _resource(
                    amended,
                    source_id=f"made-up-other-{number}",
                    code=(code, display),
                    section=section,
                    presentedForm=[_form(text)],
                )
            )
            for number, (display, code, section, text) in enumerate(_OTHERS, 1)
        ),
        _line(
            _resource(
                amended,
                source_id="made-up-identifying",
                presentedForm=[_form(f"주민등록번호: {_RESIDENT_NUMBER}\n{amended.text}")],
                **_CHEST_CT,
            )
        ),
        _line(
            _resource(
                amended,
                source_id="made-up-linked",
                presentedForm=[{"contentType": "application/pdf", "url": "Binary/made-up"}],
                **_CHEST_CT,
            )
        ),
        '{"resourceType": "DiagnosticReport", "id": "made-up-broken", "presentedForm": [{"conte\n',
    ]
    files = (folder / "DiagnosticReport.900.ndjson", folder / "deleted" / "Bundle.000.ndjson")
    for path, content in zip(files, ("".join(lines), _line(_deletions([deleted]))), strict=True):
        write_if_changed(path, content)
    return Written(
        (*written.files, *files), written.reports, amended=1, withdrawn=2, skipped=len(_OTHERS), quarantined=3
    )


def _retraction(report: MadeUpReport) -> Json:
    """The report a day later, entered in error: without its text."""
    later = replace(report, updated_at=report.updated_at + timedelta(days=1))
    return _resource(later, source_id=report.source_id, status="entered-in-error", **_CHEST_CT)


def _deletions(reports: Sequence[MadeUpReport]) -> Json:
    """The reports as deleted, a day after the last of them was changed."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "timestamp": _instant(max(report.updated_at for report in reports) + timedelta(days=1)),
        "entry": [
            {"request": {"method": "DELETE", "url": f"DiagnosticReport/{report.source_id}"}} for report in reports
        ],
    }


def _form(text: str) -> Json:
    return {"contentType": "text/plain; charset=utf-8", "data": base64.b64encode(text.encode()).decode()}


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _line(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
