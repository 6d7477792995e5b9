"""The guard's figures: recall on made-up positives and false alarms on texts that hold none, per kind.

    .venv/bin/python benchmarks/guard.py [../shared/data]

The positives, and negatives written by hand, are tests/unit/identifying_examples.csv. `tuned` and `first-look` were
written before the detectors, `second-look` after, to break them: all three are counted as the detectors stand now.
`held-out` was written last, and nothing was changed for it. The other negatives are the made-up feed and, under the
folder named, real reports, sentences and general text (which names people); an alarm prints its place, never the
text. The examples' patterns for record numbers are all in use at once on negatives.
"""

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nightread.made_up.reports import Style, reports
from pipeline.identifying import Identifier, kinds

EXAMPLES = Path(__file__).parents[1] / "tests" / "unit" / "identifying_examples.csv"
PARTS = ("tuned", "first-look", "second-look", "held-out")
Example = dict[str, str]
Texts = Iterator[tuple[str, str]]  # place, text
Counts = Counter[tuple[str, str]]  # by part and kind


def main(data: Path) -> None:
    examples = read_examples()
    patterns = sorted({example["record_numbers"] for example in examples} - {""})
    positives, found = recall(examples)
    alarms: dict[str, Counter[str]] = {}
    sizes: dict[str, int] = {}
    places: list[tuple[str, str, str]] = []
    for name, texts in negatives(examples, data):
        alarms[name] = Counter()
        sizes[name] = 0
        for place, text in texts:
            sizes[name] += 1
            for kind in kinds(text, record_numbers=patterns):
                alarms[name][kind] += 1
                places.append((name, kind, place))
    console = Console(width=120)
    console.print(recall_table(positives, found))
    console.print(alarm_table(sizes, alarms))
    for name, found_kind, place in places:
        console.print(f"alarm: {name}, {found_kind}, {place}", highlight=False, markup=False)


def recall_table(positives: Counts, found: Counts) -> Table:
    table = Table("kind", *PARTS, "all", "recall", title="Recall: found of the made-up positives")
    rows: list[tuple[str, tuple[str, ...]]] = [(kind, (kind,)) for kind in Identifier]
    for row, of in [*rows, ("all", tuple(Identifier))]:
        per_part = [
            (sum(found[part, kind] for kind in of), sum(positives[part, kind] for kind in of)) for part in PARTS
        ]
        hits, total = map(sum, zip(*per_part, strict=True))
        table.add_row(row, *(f"{hit}/{of_all}" for hit, of_all in per_part), f"{hits}/{total}", f"{hits / total:.3f}")
    return table


def alarm_table(sizes: dict[str, int], alarms: dict[str, Counter[str]]) -> Table:
    table = Table(
        "texts", "how many", *(kind.removesuffix("-number") for kind in Identifier), title="Alarms on negatives"
    )
    for name, size in sizes.items():
        table.add_row(name, str(size), *(str(alarms[name][kind]) for kind in Identifier))
    return table


def read_examples() -> list[Example]:
    with EXAMPLES.open(encoding="utf-8", newline="") as stream:
        stream.readline()  # says that they are made up
        return list(csv.DictReader(stream))


def recall(examples: list[Example]) -> tuple[Counts, Counts]:
    """Positives and those found, by part and kind. Only a hospital's own pattern is in use for its example."""
    positives: Counts = Counter()
    found: Counts = Counter()
    for example in examples:
        own = [example["record_numbers"]] if example["record_numbers"] else []
        seen = kinds(example["text"], record_numbers=own)
        for kind in example["kinds"].split():
            positives[example["part"], kind] += 1
            found[example["part"], kind] += kind in seen
    return positives, found


def negatives(examples: list[Example], data: Path) -> Iterator[tuple[str, Texts]]:
    by_hand = ((f"{example['part']}:{number}", example) for number, example in enumerate(examples))
    yield "by hand", ((place, example["text"]) for place, example in by_hand if not example["kinds"])
    for style in Style:
        feed = reports(500, seed=1, styles={style: 1.0})
        yield f"made-up {style}", ((report.source_id, report.text) for report in feed)
    if not data.is_dir():
        return
    yield "CT-RATE reports", table_rows(data / "chest-ct-reports" / "reports.csv", "report_text")
    yield "Open-I sentences", table_rows(data / "radiology-sentences" / "openi_filename_section_sent.csv", "Sentence")
    for folder in ("text/ko", "text/ko-en", "text/en", "similarity/korsts", "similarity/stsb"):
        files = sorted(path for path in (data / folder).iterdir() if not path.name.startswith(("LICENSE", "License")))
        yield f"{folder} lines", chain.from_iterable(map(lines, files))


def table_rows(file: Path, column: str) -> Texts:
    with file.open(encoding="utf-8", newline="") as stream:
        for number, row in enumerate(csv.DictReader(stream), 2):
            yield f"{file.name}:{number}", row[column]


def lines(file: Path) -> Texts:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        yield f"{file.name}:{number}", line


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "../shared/data"))
