"""What every format asks of the short fields of a record before they become columns."""

from pipeline.feeds.record import Reason

# FHIR ids have 64 characters; some servers' are longer. PostgreSQL refuses to index what passes 2,700
# bytes, and one such row would stop its whole chunk.
MAX_FIELD_CHARACTERS = 200


class Unusable(Exception):
    """This record cannot be read, for this reason; readers turn it into an `Unreadable`."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def source_id_of(value: object) -> str:
    if value is None or value == "":
        raise Unusable(Reason.MISSING_ID)
    if not isinstance(value, str) or len(value) > MAX_FIELD_CHARACTERS:
        raise Unusable(Reason.BAD_ID)
    if value.isspace() or not value.isprintable():  # control characters and lone surrogates are not printable
        raise Unusable(Reason.BAD_ID)
    return value


def short(value: str | None) -> str | None:
    """A field that becomes a column: bounded, and something that PostgreSQL can hold."""
    if not value:
        return None
    if len(value) > MAX_FIELD_CHARACTERS:
        raise Unusable(Reason.OVERSIZED_FIELD)
    if "\0" in value:
        raise Unusable(Reason.NUL_BYTE)
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise Unusable(Reason.LONE_SURROGATE)
    return value
