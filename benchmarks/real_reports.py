"""The evidence on real reports: lays out a home with a training file, a held-out file and a FHIR feed of the latter.

    .venv/bin/python benchmarks/real_reports.py ../shared/data/chest-ct-reports/reports.csv HOME

Unique texts in file order, the last 160 held out; of the others 8 % (by hash) set thresholds and the rest is fitted.
Then, as it prints: train, evaluate, pull, label. Beside it the baseline on the same split: TF-IDF with one logistic
regression per finding, its strength chosen by cross-validation on the training part.
"""

import base64
import csv
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from models import metrics
from pipeline.label_sets import CT_RATE_FINDINGS

HELD_OUT = 160
LABELS = [name for name, _, _ in CT_RATE_FINDINGS]
SETTINGS = """\
timezone = "Asia/Seoul"

[feeds.held-out]
path = "feed"
site = "ct-rate"
modalities = ["CT"]
"""


def main(source: Path, home: Path) -> None:
    with source.open(encoding="utf-8", newline="") as stream:
        first: dict[str, dict[str, str]] = {}
        for row in csv.DictReader(stream):
            first.setdefault(row["report_text"], row)  # a text that occurs twice counts once, where it stood first
    unique = list(first.values())
    train, held_out = unique[:-HELD_OUT], unique[-HELD_OUT:]
    home.mkdir(parents=True, exist_ok=True)
    write(home / "train.csv", [{**row, "split": split(row["report_text"])} for row in train])
    write(home / "held-out.csv", held_out)
    (home / "feed").mkdir(exist_ok=True)
    (home / "feed" / "DiagnosticReport.000.ndjson").write_text("".join(map(resource, held_out)), encoding="utf-8")
    (home / "nightread.toml").write_text(SETTINGS, encoding="utf-8")
    judged = baseline(train, held_out)
    low, high = judged.macro_f1_interval
    print(f"{len(train)} reports to train on, {len(held_out)} held out, in {home}")
    print(f"TF-IDF with logistic regression: macro F1 {judged.macro_f1:.3f} ({low:.3f} to {high:.3f})")
    print(f"now: nightread --home {home} train --annotations {home}/train.csv --foundation FOLDER --promote")
    print(f"     nightread --home {home} evaluate --annotations {home}/held-out.csv")
    print(f"     nightread --home {home} pull --wait && nightread --home {home} label --wait")


def split(text: str) -> str:
    return "calibration" if int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % 100 < 8 else "train"


def write(file: Path, rows: list[dict[str, str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def resource(row: dict[str, str]) -> str:
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


def baseline(train: list[dict[str, str]], held_out: list[dict[str, str]]) -> metrics.Evaluation:
    """TF-IDF of words and word pairs with one logistic regression per finding, on all of the training rows."""
    model = GridSearchCV(
        make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
            OneVsRestClassifier(LogisticRegression(max_iter=2000, class_weight="balanced")),
        ),
        {"onevsrestclassifier__estimator__C": [1, 10, 100]},
        scoring="f1_macro",
        cv=3,
    )
    model.fit([row["report_text"] for row in train], truth(train))
    probabilities = model.predict_proba([row["report_text"] for row in held_out])
    return metrics.evaluate(probabilities, truth(held_out), [0.5] * len(LABELS))


def truth(rows: list[dict[str, str]]) -> np.ndarray:
    return np.array([[int(row[label]) for label in LABELS] for row in rows])


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute())
