"""The guard against identifying data: which kinds of it a text holds.

The feeds are said to be de-identified; this finds where that went wrong, so that such a report is
quarantined before anybody reads it. Each kind has a file with its detector, and why something counts or does
not stands at its head. Every pattern is bounded, so the time is linear in the text; most are not even tried on most
texts (see `seen`).
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

from pipeline.identifying import addresses, births, e_mail, names, phones, resident_numbers
from pipeline.identifying import record_numbers as own_numbers
from pipeline.identifying.seen import Seen


class Identifier(StrEnum):
    """What kind of identifying data; kept in the quarantine row instead of the data."""

    RESIDENT_NUMBER = "resident-number"
    FOREIGNER_NUMBER = "foreigner-number"
    PHONE_NUMBER = "phone-number"
    EMAIL = "e-mail"
    ADDRESS = "address"
    PATIENT_NAME = "patient-name"
    BIRTH_DATE = "birth-date"
    RECORD_NUMBER = "record-number"


Detector = Callable[[Seen], bool]

_DETECTORS: tuple[tuple[Identifier, Detector], ...] = (
    (Identifier.RESIDENT_NUMBER, resident_numbers.has_resident),
    (Identifier.FOREIGNER_NUMBER, resident_numbers.has_foreigner),
    (Identifier.PHONE_NUMBER, phones.found_in),
    (Identifier.EMAIL, e_mail.found_in),
    (Identifier.ADDRESS, addresses.found_in),
    (Identifier.PATIENT_NAME, names.found_in),
    (Identifier.BIRTH_DATE, births.found_in),
)

_FIELD_DETECTORS: tuple[tuple[Identifier, Detector], ...] = (
    (Identifier.RESIDENT_NUMBER, resident_numbers.has_separated_resident),
    (Identifier.FOREIGNER_NUMBER, resident_numbers.has_separated_foreigner),
    (Identifier.PHONE_NUMBER, phones.separated_in),
    (Identifier.EMAIL, e_mail.found_in),
)
_PATIENT_DETECTORS = (
    (Identifier.RESIDENT_NUMBER, resident_numbers.has_resident),
    (Identifier.FOREIGNER_NUMBER, resident_numbers.has_foreigner),
    *_FIELD_DETECTORS,
)


def kinds(text: str, *, record_numbers: Sequence[str] = ()) -> tuple[Identifier, ...]:
    """The kinds of identifying data in a text, each once, in the order of `Identifier`; empty when it is
    clean.

    `record_numbers` are a hospital's own regular expressions. They see the text as the other detectors do:
    full-width characters, exotic dashes and invisible characters in their plain forms.
    """
    seen = Seen.of(text)
    found = [kind for kind, found_in in _DETECTORS if found_in(seen)]
    if own_numbers.found_in(seen.text, tuple(record_numbers)):
        found.append(Identifier.RECORD_NUMBER)
    return tuple(found)


def kinds_in_record(
    *, text: str, patient: str | None, accession: str | None, record_numbers: Sequence[str] = ()
) -> tuple[Identifier, ...]:
    """The kinds in a report's text, in what stands for its patient and in its accession number; see `kinds`.

    Both fields hold numbers as they should, so only what cannot be one of those counts: e-mail addresses, and
    resident, foreigner and phone numbers with their separators; a patient's also in one run of thirteen digits.
    """
    found = set(kinds(text, record_numbers=record_numbers))
    for value, detectors in ((patient, _PATIENT_DETECTORS), (accession, _FIELD_DETECTORS)):
        if value is not None:
            seen = Seen.of(value)
            found |= {kind for kind, found_in in detectors if found_in(seen)}
    return tuple(kind for kind in Identifier if kind in found) if found else ()
