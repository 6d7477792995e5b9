"""One DiagnosticReport (FHIR R4) as a record, one deletion Bundle as withdrawals: pure, JSON values in.

Decisions, with their reasons:

* **Text.** `presentedForm` is the report as issued; `conclusion` is its summary and stands in only where no
  form carries anything. A report whose forms are all elsewhere (`url`) or of another kind (PDF) is
  quarantined even if it has a conclusion: labelling the summary would lose findings in silence.
* **Several forms.** Plain text before HTML, since a server that sends both sends one report twice; within
  the kind, different texts are joined by an empty line (a report and its addendum). A text form that cannot
  be read quarantines the report rather than let half of it through.
* **Status.** `final`, `amended`, `corrected`, `appended`, `preliminary`, `partial` and `unknown` carry a
  report; a preliminary one is replaced under the same id when the final one comes. `registered` carries none
  yet and is skipped. `entered-in-error` withdraws, and so does `cancelled`: what was there before no longer
  counts. Most cancelled orders never had a report, so that one says no more than a deletion does. Any other
  status is quarantined, because it decides whether a report may be used at all.
* **Accession.** The identifier whose type is ACSN (HL7 v2-0203); other identifiers are not guessed at.
* **Unwanted withdrawals** are skipped like unwanted reports, but one whose code or category was removed
  along with its content still withdraws: it may be one of ours, and withdrawing what we never had harms
  nothing.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pipeline.feeds import report_text
from pipeline.feeds.fhir_time import instant
from pipeline.feeds.fields import Unusable, short, source_id_of
from pipeline.feeds.record import Item, Reason, Record, Skipped, SkipReason, Unreadable, Wants

RESOURCE_TYPE = "DiagnosticReport"
CANCELLED = "cancelled"
WITHDRAWN = frozenset({"entered-in-error", CANCELLED})
REPORTED = frozenset({"final", "amended", "corrected", "appended", "preliminary", "partial", "unknown"})
REGISTERED = "registered"

# HTML is markup and text; beyond this it is not a report, and not worth parsing.
_MARKUP_FACTOR = 8
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_DELETED = re.compile(rf"(?:.*/)?{RESOURCE_TYPE}/([^/?#]+)")

Json = dict[str, Any]


def read_report(place: str, resource: object, *, wants: Wants, max_text_bytes: int) -> Item:
    """Exactly one item for one JSON value of a data file; never raises."""
    source_id: str | None = None
    updated_at: datetime | None = None
    try:
        report = _resource(resource, RESOURCE_TYPE)
        source_id = source_id_of(report.get("id"))
        issued_at = instant(_string(report, "issued"))
        updated_at = instant(_string(_object(report.get("meta")), "lastUpdated")) or issued_at
        status = _string(report, "status")
        codes = _codings([_object(report.get("code"))])
        categories = _codings(_objects(report, "category"))
        may_be_stripped = status in WITHDRAWN
        if not _wanted(codes, wants.codes, may_be_stripped):
            return Skipped(place, SkipReason.OTHER_CODE)
        if not _wanted(categories, wants.modalities, may_be_stripped):
            return Skipped(place, SkipReason.OTHER_MODALITY)
        if status == REGISTERED:
            return Skipped(place, SkipReason.NO_REPORT_YET)
        withdrawn = _is_withdrawn(status)
        if status == CANCELLED:
            return _bare_withdrawal(place, source_id, updated_at)
        return Record(
            place=place,
            source_id=source_id,
            updated_at=updated_at,
            withdrawn=withdrawn,
            text=None if withdrawn else _text(report, max_text_bytes),
            accession=short(_accession(report)),
            patient=short(_string(_object(report.get("subject")), "reference")),
            study_at=_study_at(report),
            issued_at=issued_at,
            code=short(_chosen(codes, wants.codes)),
            modality=short(_chosen(sorted(categories, key=lambda c: c[0] != _DICOM), wants.modalities)),
        )
    except Unusable as stop:
        return Unreadable(place, stop.reason, source_id, updated_at)


def read_deletions(place: str, bundle: object) -> Iterator[Record | Unreadable]:
    """The DiagnosticReports that a Bulk Data deletion Bundle names; other resources' deletions are nobody's
    concern.

    Bulk Data Access IG, "deleted": a transaction Bundle whose entries say DELETE and "DiagnosticReport/ID".
    """
    try:
        found = _resource(bundle, "Bundle")
        said_at = instant(_string(found, "timestamp")) or instant(_string(_object(found.get("meta")), "lastUpdated"))
        entries = _objects(found, "entry")
    except Unusable as stop:
        yield Unreadable(place, stop.reason)
        return
    for number, entry in enumerate(entries, 1):
        there = f"{place} entry {number}"
        try:
            request = _object(entry.get("request"))
            url = _DELETED.fullmatch(_string(request, "url") or "")
            if _string(request, "method") != "DELETE" or url is None:
                continue
            yield _bare_withdrawal(there, source_id_of(url[1]), said_at)
        except Unusable as stop:
            yield Unreadable(there, stop.reason, None, said_at)


def _bare_withdrawal(place: str, source_id: str, updated_at: datetime | None) -> Record:
    """Names no examination, so that it withdraws what is held and otherwise leaves no trace."""
    return Record(place, source_id, updated_at, True, None, None, None, None, None, None, None)


def _is_withdrawn(status: str | None) -> bool:
    if status not in REPORTED | WITHDRAWN:
        raise Unusable(Reason.BAD_STATUS)
    return status in WITHDRAWN


def _text(report: Json, max_text_bytes: int) -> str:
    plain: list[Json] = []
    html: list[Json] = []
    elsewhere: Reason | None = None
    for form in _objects(report, "presentedForm"):
        if not _string(form, "data"):
            if _string(form, "url"):
                elsewhere = elsewhere or Reason.ATTACHMENT_BY_URL
            continue  # a title or a size without content
        # A form must name its type; one that does not is tried as text, and strict decoding tells.
        kind, _ = report_text.content_type(_string(form, "contentType") or "text/plain")
        if kind in report_text.PLAIN:
            plain.append(form)
        elif kind in report_text.HTML:
            html.append(form)
        else:
            elsewhere = Reason.UNSUPPORTED_CONTENT_TYPE
    if plain or html:
        texts = [_form_text(form, max_text_bytes) for form in plain or html]
        text = "\n\n".join(dict.fromkeys(texts))  # equal texts once, in order
    elif elsewhere:
        raise Unusable(elsewhere)
    else:
        text = _string(report, "conclusion") or ""
    return report_text.stored(text, max_text_bytes=max_text_bytes)


def _form_text(form: Json, max_text_bytes: int) -> str:
    kind, charset = report_text.content_type(_string(form, "contentType") or "text/plain")
    raw = report_text.from_base64(_string(form, "data") or "")
    if len(raw) > max_text_bytes * _MARKUP_FACTOR:
        raise Unusable(Reason.OVERSIZED_TEXT)
    text = report_text.decoded(raw, charset)
    return report_text.from_html(text) if kind in report_text.HTML else text


def _accession(report: Json) -> str | None:
    for identifier in _objects(report, "identifier"):
        if any(code == "ACSN" for _, code in _codings([_object(identifier.get("type"))])):
            return _string(identifier, "value")
    return None


def _study_at(report: Json) -> datetime | None:
    return instant(_string(report, "effectiveDateTime")) or instant(
        _string(_object(report.get("effectivePeriod")), "start")
    )


def _codings(concepts: list[Json]) -> list[tuple[str | None, str]]:
    """(system, code) of every coding of the concepts, in order."""
    return [
        (_string(coding, "system"), code)
        for concept in concepts
        for coding in _objects(concept, "coding")
        if (code := _string(coding, "code"))
    ]


def _wanted(codings: list[tuple[str | None, str]], wanted: frozenset[str], may_be_stripped: bool) -> bool:
    if not wanted or (may_be_stripped and not codings):
        return True
    return any(_matches(coding, wanted) for coding in codings)


def _matches(coding: tuple[str | None, str], wanted: frozenset[str]) -> bool:
    system, code = coding
    return code in wanted or f"{system}|{code}" in wanted


def _chosen(codings: list[tuple[str | None, str]], wanted: frozenset[str]) -> str | None:
    """The code that made the report wanted, or else the first."""
    first = codings[0][1] if codings else None
    return next((coding[1] for coding in codings if _matches(coding, wanted)), first)


def _resource(value: object, resource_type: str) -> Json:
    resource = _object(value)
    if resource.get("resourceType") != resource_type:
        raise Unusable(Reason.WRONG_TYPE)
    return resource


def _object(value: object) -> Json:
    """A JSON object; an absent one is empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unusable(Reason.WRONG_TYPE)
    return value


def _objects(parent: Json, name: str) -> list[Json]:
    """A list of JSON objects; a single one counts as a list of one, as R3's `category` was."""
    value = parent.get(name)
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, dict) for one in values):
        raise Unusable(Reason.WRONG_TYPE)
    return values


def _string(parent: Json, name: str) -> str | None:
    value = parent.get(name)
    if value is not None and not isinstance(value, str):
        raise Unusable(Reason.WRONG_TYPE)
    return value
