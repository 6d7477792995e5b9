"""The evidence on real reports: lays out a home with a training file, a held-out file and a FHIR feed of the latter.

    .venv/bin/python benchmarks/real_reports.py [--data ../shared/data] [--out HOME] [--quick]

Unique texts in file order, the last 160 held out; of the others 8 % (by hash) set thresholds and the rest is fitted.
Then, as it prints: train, evaluate, pull, label. Beside it the baseline on the same split: TF-IDF with one logistic
regression per finding, its strength chosen by cross-validation on the training part. Where there are no real reports,
the home is of made-up ones.
"""

import argparse
import base64
import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import benchmark_form
import numpy as np
from bag_of_words import bag_of_words
from benchmark_form import Data, Row, last_line, markdown, report_rows, results_folder

from models import metrics
from pipeline.label_sets import CT_RATE_FINDINGS

HELD_OUT = 160
QUICK = 300  # reports to train on
STRENGTHS = (1, 10, 100)
LABELS = [name for name, _, _ in CT_RATE_FINDINGS]
SETTINGS = """\
timezone = "Asia/Seoul"

[feeds.held-out]
path = "feed"
site = "{site}"
modalities = ["CT"]
"""


def main(given: argparse.Namespace) -> None:
    with results_folder(given.out, "real-reports", quick=given.quick) as home:
        rows, data = report_rows(given.data)
        train, held_out = rows[:-HELD_OUT], rows[-HELD_OUT:]
        if given.quick:
            train = train[:QUICK]
        lay_out(home, train, held_out, site="ct-rate" if data is Data.REAL else "made-up")
        judged = baseline(train, held_out, strengths=STRENGTHS[-1:] if given.quick else STRENGTHS)
    low, high = judged.macro_f1_interval
    print(f"{len(train)} reports to train on ({data}), {len(held_out)} held out and judged on\n")
    score = f"{judged.macro_f1:.3f} ({low:.3f} to {high:.3f})"
    print(markdown(("reader", "macro F1"), [("TF-IDF with logistic regression", score)]))
    if home.exists():  # still
        print(f"\nnow: nightread --home {home} train --annotations {home}/train.csv --foundation FOLDER --promote")
        print(f"     nightread --home {home} evaluate --annotations {home}/held-out.csv")
        print(f"     nightread --home {home} pull --wait && nightread --home {home} label --wait")
    print()
    figures = {
        "macro_f1_tf_idf": round(judged.macro_f1, 4),
        "macro_f1_tf_idf_interval": [round(low, 4), round(high, 4)],
        "train": len(train),
        "held_out": len(held_out),
    }
    last_line(figures, data=data, quick=given.quick)


def lay_out(home: Path, train: Sequence[Row], held_out: Sequence[Row], *, site: str) -> None:
    """A training file, a held-out file, a feed of the latter and the settings."""
    write(home / "train.csv", [{**row, "split": split(row["report_text"])} for row in train])
    write(home / "held-out.csv", held_out)
    (home / "feed").mkdir(exist_ok=True)
    (home / "feed" / "DiagnosticReport.000.ndjson").write_text("".join(map(resource, held_out)), encoding="utf-8")
    (home / "nightread.toml").write_text(SETTINGS.format(site=site), encoding="utf-8")


def split(text: str) -> str:
    return "calibration" if int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % 100 < 8 else "train"


def write(file: Path, rows: Sequence[Row]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def resource(row: Row) -> str:
    """A held-out report as a line of FHIR Bulk NDJSON."""
    data = base64.b64encode(row["report_text"].encode()).decode()
    return (
        json.dumps(
            {
                "resourceType": "DiagnosticReport",
                "id": row["AccessionNo"].replace("_", "-"),
                "meta": {"lastUpdated": "2026-11-01T00:00:00Z"},
                "status": "final",
                "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "CT"}]}],
                "code": {"coding": [{"system": "http://loinc.org", "code": "24627-2"}]},
                "presentedForm": [{"contentType": "text/plain; charset=utf-8", "data": data}],
            }
        )
        + "\n"
    )


def baseline(train: Sequence[Row], held_out: Sequence[Row], *, strengths: Sequence[int]) -> metrics.Evaluation:
    model = bag_of_words([row["report_text"] for row in train], truth(train), strengths=strengths)
    probabilities = model.predict_proba([row["report_text"] for row in held_out])
    return metrics.evaluate(probabilities, truth(held_out), [0.5] * len(LABELS))


def truth(rows: Sequence[Row]) -> np.ndarray:
    return np.array([[int(row[label]) for label in LABELS] for row in rows])


if __name__ == "__main__":
    parser = benchmark_form.parser(
        __doc__,
        quick=f"{QUICK} reports, one strength",
        data="the reports are made up",
        out="the home that is laid out",
    )
    main(parser.parse_args())
