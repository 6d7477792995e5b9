"""Times as tables write them, as aware UTC datetimes."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

# "2026-01-02", "2026/1/2", "2026. 1. 2.", each alone or before a time; Excel in Korean writes "오후 3:04" for 15:04.
_SEPARATED = re.compile(
    r"(\d{4})[-/.] ?(\d{1,2})[-/.] ?(\d{1,2})\.?(?:[T ] *(?:(오전|오후) *)?(\d{1,2})(:.+))?", re.ASCII
)
# HL7's, and exports of older systems: "20260102030405.678+0900".
_TOGETHER = re.compile(r"(\d{8})(\d{4}(?:\d\d)?(?:[.+-].*)?)", re.ASCII)


def moment(written: str, zone: ZoneInfo) -> datetime | None:
    """A date is its first midnight. What names no zone is in `zone`; None when it is no time.

    Read: ISO 8601, the same with "/" or "." in its date and with unpadded numbers, and digits alone
    (20260102, 202601020304, 20260102030405). Dates that begin with a day or a month are not guessed at.
    """
    written = written.strip().upper()
    if separated := _SEPARATED.fullmatch(written):
        written = _iso(*separated.groups())
    elif together := _TOGETHER.fullmatch(written):
        written = f"{together[1]}T{together[2]}"
    elif not written[:8].isdecimal():
        return None  # "2026-W01" and the like mean something else to those who write them by mistake
    try:
        at = datetime.fromisoformat(written)
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _iso(year: str, month: str, day: str, half: str | None, hour: str | None, rest: str | None) -> str:
    date = f"{year}-{month:0>2}-{day:0>2}"
    if hour is None or rest is None:
        return date
    if half is not None:
        hour = str(int(hour) % 12 + (12 if half == "오후" else 0))
    return f"{date}T{hour:0>2}{rest.replace(' UTC', 'Z').replace(' ', '')}"
