"""FHIR dates, dateTimes and instants as aware UTC datetimes."""

import re
from datetime import UTC, datetime, timedelta, timezone

# FHIR R4 §2.24.0.1: year, month and day may be missing from the right; seconds carry any number of decimals.
_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[Tt](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?\s*([Zz]|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)


def instant(value: str | None) -> datetime | None:
    """The beginning of what `value` names ("2023-05" is its first midnight), in UTC; None when it is no
    FHIR time.

    A time without a zone is taken as UTC: FHIR demands the zone, so there is nothing better to know.
    """
    match = _TIME.fullmatch(value.strip()) if value else None
    if match is None:
        return None
    year, month, day, hour, minute, second, decimals, zone = match.groups()
    try:
        at = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0),
            min(int(second or 0), 59),  # FHIR permits the leap second 60, Python does not
            int((decimals or "0").ljust(6, "0")[:6]),
            tzinfo=_zone(zone),
        )  # fmt: skip
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(written: str | None) -> timezone:
    if written is None or written in "Zz":
        return UTC
    ahead = timedelta(hours=int(written[1:3]), minutes=int(written[4:6]))
    return timezone(-ahead if written[0] == "-" else ahead)
