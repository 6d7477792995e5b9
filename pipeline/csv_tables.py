"""CSV files that people make: UTF-8, a header line, and every line named by its number when something is wrong."""

import csv
from pathlib import Path

from pipeline.errors import NightreadError

Lines = list[tuple[int, dict[str, str]]]


def read(file: Path, unusable: type[NightreadError]) -> tuple[list[str], Lines]:
    """The header, and each row by column name with the number of its last line. Raises the error `unusable`."""
    csv.field_size_limit(2**27)  # reports are longer than the csv module's default of 128 KiB allows
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            lines = [(reader.line_num, row) for row in reader]
            header = list(reader.fieldnames or ())
    except OSError as error:
        raise unusable(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise unusable(f"{file} is not UTF-8 (byte {error.start}); convert it first") from None
    except csv.Error as error:
        raise unusable(f"{file} is no valid CSV: {error}") from None
    if not lines:
        raise unusable(f"{file} holds no rows; it needs a header line and at least one line below it")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise unusable(f"{file} has two columns named {twice!r}; rename or remove one")
    for number, row in lines:
        if None in row or None in row.values():
            raise unusable(f"{file}: line {number} does not have the header's {len(header)} columns")
    return header, lines
