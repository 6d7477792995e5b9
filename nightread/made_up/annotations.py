"""Made-up reports with their labels, in the columns of the CT-RATE annotations and the site."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from nightread.made_up.files import write_if_changed
from nightread.made_up.reports import FINDINGS, MadeUpReport

COLUMNS = ("AccessionNo", "report_text", *FINDINGS, "site")


def write_annotations(reports: Iterable[MadeUpReport], path: Path) -> int:
    """Write a CSV of labelled reports; how many rows it has. A file that holds exactly this already is left
    alone.
    """
    content = io.StringIO(newline="")
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(COLUMNS)
    rows = 0
    for report in reports:
        writer.writerow([report.accession, report.text, *(report.labels[name] for name in FINDINGS), report.site])
        rows += 1
    write_if_changed(path, content.getvalue())
    return rows
