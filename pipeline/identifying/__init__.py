"""The guard against identifying data: which kinds of it a text holds.

The feeds are said to be de-identified; this finds where that went wrong, so that such a report is
quarantined before anybody reads it. Each kind has a file with its detector, and why something counts or does
not stands at its head. Every pattern is bounded, so the time is linear in the text.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum

from pipeline.identifying import addresses, births, e_mail, names, phones, resident_numbers
from pipeline.identifying import record_numbers as own_numbers
from pipeline.identifying.plain import plain


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


_DETECTORS: tuple[tuple[Identifier, Callable[[str], bool]], ...] = (
    (Identifier.RESIDENT_NUMBER, resident_numbers.has_resident),
    (Identifier.FOREIGNER_NUMBER, resident_numbers.has_foreigner),
    (Identifier.PHONE_NUMBER, phones.found_in),
    (Identifier.EMAIL, e_mail.found_in),
    (Identifier.ADDRESS, addresses.found_in),
    (Identifier.PATIENT_NAME, names.found_in),
    (Identifier.BIRTH_DATE, births.found_in),
)


def kinds(text: str, *, record_numbers: Sequence[str] = ()) -> tuple[Identifier, ...]:
    """The kinds of identifying data in a text, each once, in the order of `Identifier`; empty when it is
    clean.

    `record_numbers` are a hospital's own regular expressions. They see the text as the other detectors do:
    full-width characters, exotic dashes and invisible characters in their plain forms.
    """
    seen = plain(text)
    found = [kind for kind, found_in in _DETECTORS if found_in(seen)]
    if own_numbers.found_in(seen, tuple(record_numbers)):
        found.append(Identifier.RECORD_NUMBER)
    return tuple(found)
