"""The study's results: from the cells to tables (CSV, Markdown), a picture, and what they say about the paper."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from study_cells import PUBLISHED, Site, Stage, Study

from models import comparison
from models.comparison import Estimate, Measure

CLASSIFICATION, SIMILARITY, BITS = "classification", "similarity", "bits per byte"
COLOURS = {"Korean": "#0072b2", "English": "#e69f00", "both": "#009e73", PUBLISHED: "#cc79a7"}
LANGUAGES = ("Korean", "English")
NAMES = {Site.REAL: "real", Site.EAST: "East (made up)", Site.WEST: "West (made up)"}


class Measured(NamedTuple):
    """What a model scores, and on how many reports or pairs."""

    measure: Measure
    items: int


class Row(NamedTuple):
    """One foundation at one thing, before and after, and the difference; intervals where there are any."""

    kind: str
    what: str
    foundation: str
    before: Estimate
    after: Estimate
    gain: Estimate
    by_seed: tuple[tuple[float, float], ...]  # before and after, seed by seed


def write(study: Study) -> dict[str, float]:
    """Prints the tables and the verdict, and writes them and the picture to the study's folder. Returns the figures."""
    rows = [*classification(study), *similarities(study), *bits_per_byte(study)]
    text = markdown(study, rows)
    print(text)
    (study.out / "study.md").write_text(text, encoding="utf-8")
    write_csv(rows, study.out / "study.csv")
    draw(rows, study.out / "study.png")
    return figures(rows)


def classification(study: Study) -> Iterator[Row]:
    """Macro F1, with intervals over reports."""
    for few in (False, True):
        amount = f"{study.scale.few} annotations" if few else "all annotations"
        for site in Site:
            for judged in site.judged_on:
                what = f"{NAMES[site]} → {NAMES[judged]}, {amount}"
                loads = partial(macro_f1, study, cell=f"{site}-{'few' if few else 'all'}", judged=judged)
                yield from (compared(study, CLASSIFICATION, what, name, loads) for name in study.scale.foundations)


def similarities(study: Study) -> Iterator[Row]:
    """Pearson's r, with intervals over pairs."""
    for how in ("fine-tuned", "zero-shot") if study.scale.pairs else ("zero-shot",):
        for language in LANGUAGES:
            loads = partial(correlation, study, language=language, how=how)
            for name in study.scale.foundations:
                yield compared(study, SIMILARITY, f"{language}, {how}", name, loads)


def macro_f1(study: Study, model: str, *, cell: str, judged: Site) -> Measured:
    with np.load(study.arrays(f"{model}-{cell}")) as arrays:
        found, truth = arrays[f"{judged} found"], arrays[f"{judged} truth"]
    return Measured(comparison.macro_f1(found, truth), len(truth))


def correlation(study: Study, model: str, *, language: str, how: str) -> Measured:
    with np.load(study.arrays(f"{model}-similarity")) as arrays:
        given, truth = arrays[f"{language} {how}"], arrays[f"{language} truth"]
    return Measured(comparison.pearson(given, truth), len(truth))


def compared(study: Study, kind: str, what: str, name: str, loads: Callable[[str], Measured]) -> Row:
    """A foundation before and after, by what `loads` gives for a model's name."""
    found = {stage: [loads(f"{name}-{stage}-{seed}") for seed in study.scale.seeds] for stage in Stage}
    before, after = (comparison.mean([one.measure for one in found[stage]]) for stage in Stage)
    items = found[Stage.FOUNDATION][0].items
    alone = [[comparison.estimate(one.measure, items, resamples=1).value for one in found[stage]] for stage in Stage]
    return Row(
        kind,
        what,
        name,
        comparison.estimate(before, items),
        comparison.estimate(after, items),
        comparison.estimate(comparison.difference(after, before), items),
        tuple(zip(*alone, strict=True)),
    )


def bits_per_byte(study: Study) -> Iterator[Row]:
    """Lower is better; the range is that of the seeds. A foundation without a head of its own has no figure."""
    for name in study.scale.foundations:
        found = {
            stage: [figures_of(study, f"{name}-{stage}-{seed}-bits") for seed in study.scale.seeds] for stage in Stage
        }
        for what in (key for key in found[Stage.BILINGUAL][0] if key != "seconds"):
            before, after = ([one.get(what, np.nan) for one in found[stage]] for stage in Stage)
            gains = [two - one for one, two in zip(before, after, strict=True)]
            by_seed = tuple(zip(before, after, strict=True))
            yield Row(BITS, what, name, spread(before), spread(after), spread(gains), by_seed)


def figures_of(study: Study, cell: str) -> dict[str, float]:
    figures: dict[str, float] = json.loads((study.out / "cells" / f"{cell}.json").read_text(encoding="utf-8"))
    return figures


def spread(values: Sequence[float]) -> Estimate:
    return Estimate(mean(values), min(values), max(values))


def markdown(study: Study, rows: Sequence[Row]) -> str:
    seeds = len(study.scale.seeds)
    lines = [
        f"# Before and after bilingual vocabulary and pre-training ({study.scale.layers} layers, {seeds} seeds)",
        "",
        "Before → after, and the difference with its 95 % interval (paired bootstrap over reports or pairs, mean of "
        "the seeds; for bits per byte the range of the seeds). `A → B`: trained on A, thresholds from A, judged on B.",
    ]
    for kind, explained in (
        (CLASSIFICATION, "macro F1, higher is better"),
        (SIMILARITY, "Pearson's r, higher is better"),
        (BITS, "lower is better"),
    ):
        some = [row for row in rows if row.kind == kind]
        names = list(dict.fromkeys(row.foundation for row in some))
        lines += ["", f"## {kind.capitalize()} ({explained})", ""]
        lines += [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
        for what in dict.fromkeys(row.what for row in some):
            shown = {row.foundation: cell_text(row) for row in some if row.what == what}
            lines.append(f"| {what} | {' | '.join(shown[name] for name in names)} |")
    return "\n".join([*lines, "", "## The paper's pattern", "", *verdict(rows), ""])


def cell_text(row: Row) -> str:
    if np.isnan(row.before.value):
        return f"no head → {row.after.value:.3f}"
    low, high = sorted((row.gain.low, row.gain.high))
    return f"{row.before.value:.3f} → {row.after.value:.3f}, {row.gain.value:+.3f} ({low:+.3f} to {high:+.3f})"


def verdict(rows: Sequence[Row]) -> Iterator[str]:
    """Whether "bilingual beats its foundation on classification; some similarity is forgotten" is seen here."""
    for kind, expected in ((CLASSIFICATION, "better"), (SIMILARITY, "worse")):
        some = [row for row in rows if row.kind == kind]
        better, worse = [row for row in some if row.gain.low > 0], [row for row in some if row.gain.high < 0]
        agree, against = (better, worse) if expected == "better" else (worse, better)
        yield (
            f"- {kind.capitalize()}: bilingual is better in {len(better)} of {len(some)} comparisons, worse in "
            f"{len(worse)}, undecided in {len(some) - len(better) - len(worse)}; mean difference "
            f"{mean(row.gain.value for row in some):+.3f}. The paper's pattern ({expected}) "
            f"{seen(len(agree), len(against), of=len(some))}."
        )
        for name in dict.fromkeys(row.foundation for row in some):
            gains = [row.gain.value for row in some if row.foundation == name]
            yield f"  - {name}: {mean(gains):+.3f} on average, from {min(gains):+.3f} to {max(gains):+.3f}"


def seen(agree: int, against: int, *, of: int) -> str:
    """How a pattern is told of that `agree` of so many comparisons show, and `against` contradict."""
    if agree <= against:
        return "does NOT appear"
    return "appears" if 2 * agree > of else "appears only in part"


def figures(rows: Sequence[Row]) -> dict[str, float]:
    """For machines: the mean difference of each kind."""
    return {
        f"{kind.replace(' ', '_')}_gain": round(
            mean(row.gain.value for row in rows if row.kind == kind and not np.isnan(row.gain.value)), 4
        )
        for kind in (CLASSIFICATION, SIMILARITY, BITS)
    }


def write_csv(rows: Sequence[Row], file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        spans = [f"{name}{end}" for name in ("before", "after", "gain") for end in ("", "_low", "_high")]
        writer.writerow(("kind", "what", "foundation", *spans, "by_seed"))
        for row in rows:
            writer.writerow(
                (row.kind, row.what, row.foundation, *row.before, *row.after, *row.gain, json.dumps(row.by_seed))
            )


def draw(rows: Sequence[Row], file: Path) -> None:
    """Hollow before, filled after, a colour for each foundation, bars for the intervals."""
    panels = [
        (CLASSIFICATION, "all annotations", "macro F1"),
        (CLASSIFICATION, "", "macro F1"),
        (SIMILARITY, "", "Pearson's r"),
        (BITS, "", "bits per byte (lower is better)"),
    ]
    figure = Figure(figsize=(14, 10), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (kind, ending, label) in enumerate(panels, 1):
        some = [row for row in rows if row.kind == kind]
        if kind == CLASSIFICATION:
            some = [row for row in some if row.what.endswith("all annotations") == bool(ending)]
        axes = figure.add_subplot(2, 2, place)
        whats, names = (
            list(dict.fromkeys(row.what for row in some)),
            list(dict.fromkeys(row.foundation for row in some)),
        )
        for row in some:
            at = whats.index(row.what) + (names.index(row.foundation) - (len(names) - 1) / 2) * 0.8 / len(names)
            for shift, value, is_after in ((-0.07, row.before, False), (0.07, row.after, True)):
                colour = COLOURS[row.foundation]
                bars = [[value.value - value.low], [value.high - value.value]]
                axes.errorbar(at + shift, value.value, bars, color=colour, linewidth=1.2, capsize=2)
                axes.plot(at + shift, value.value, "o", color=colour, markerfacecolor=colour if is_after else "white")
        axes.set_xticks(range(len(whats)), [_broken(what) for what in whats], fontsize=8)
        axes.set_ylabel(label)
        amount = some[0].what.rpartition(", ")[2] if kind == CLASSIFICATION else ""
        axes.set_title(f"{kind.capitalize()}{f', {amount}' if amount else ''}", loc="left")
        axes.grid(axis="y", color="0.92")
        axes.spines[["top", "right"]].set_visible(False)
    legend = [axes.plot([], [], "o", color=COLOURS[name], label=f"{name} foundation")[0] for name in names]
    legend.append(axes.plot([], [], "o", color="0.3", markerfacecolor="white", label="as it is")[0])
    legend.append(axes.plot([], [], "o", color="0.3", label="bilingual vocabulary and pre-training")[0])
    figure.legend(handles=legend, loc="outside lower center", ncols=len(legend), frameon=False)
    part = file.with_name(f".{file.name}.part")
    figure.savefig(part, format="png", dpi=130)
    part.replace(file)


def _broken(what: str) -> str:
    """A tick's label on several lines."""
    name = what.rpartition(", ")[0] if what.endswith("annotations") else what
    return name.replace(" → ", "\n→ ").replace(", ", "\n")
