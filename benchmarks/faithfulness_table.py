"""What the figures of benchmarks/faithfulness.py come to: ours beside other methods; tables, a CSV file, a picture."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from benchmark_form import Data, markdown
from captum_heatmaps import FIFTY
from faithfulness_figures import ALONE, CAPTUM, FIGURES, METHODS, NORMALISED, OURS, RANDOM, Figures
from faithfulness_models import MODELS, REAL
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from models.faithfulness import LEAST_NULL_DIFFERENCE, Removal

# Raw sufficiency is what is lost when only the heaviest words are left, so less of it is better; see the library.
LESS_IS_BETTER = {figure for figure in FIGURES if figure.startswith("sufficiency")}
CLOSE = 0.02  # no further behind fifty steps than this
RESAMPLES = 2_000
COLOURS = dict(zip(METHODS, ("#0072b2", "#e69f00", "#cc79a7", "#999999"), strict=True))  # Okabe and Ito (2008)

Found = Mapping[str, Mapping[str, Figures]]  # by model and corpus


class Mean(NamedTuple):
    mean: float
    low: float
    high: float
    count: int


def mean(values: Sequence[float | None]) -> Mean | None:
    """The mean and its interval by the bootstrap over findings; those without a figure stay out."""
    there = np.array([value for value in values if value is not None])
    if not len(there):
        return None
    draws = np.random.default_rng(0).integers(len(there), size=(RESAMPLES, len(there)))
    low, high = np.percentile(there[draws].mean(1), (2.5, 97.5))
    return Mean(float(there.mean()), float(low), float(high), len(there))


def behind(figures: Figures) -> dict[str, Mean]:
    """Ours less fifty steps by figure, finding by finding."""
    found = {}
    for figure in (*FIGURES, *NORMALISED):
        pairs = zip(figures["values"][OURS][figure], figures["values"][CAPTUM][figure], strict=True)
        difference = mean([a - b for a, b in pairs if a is not None and b is not None])
        if difference is not None:
            found[figure] = difference
    return found


def close(figure: str, difference: Mean) -> bool:
    """Whether ours is at most so far behind; to be ahead is no fault."""
    return (difference.mean if figure in LESS_IS_BETTER else -difference.mean) <= CLOSE


def verdicts(found: Found) -> tuple[int, int, int]:
    """In how many figures ours is close enough to fifty steps, of how many, and how many of these tell fifty steps from
    a random order.
    """
    within = compared = telling = 0
    for _, _, figures in by_corpus(found):
        for figure, difference in behind(figures).items():
            captum, random = (mean(figures["values"][method][figure]) for method in (CAPTUM, RANDOM))
            assert captum is not None and random is not None  # as many findings as the difference has
            ahead = (random.mean - captum.mean) if figure in LESS_IS_BETTER else (captum.mean - random.mean)
            within += close(figure, difference)
            compared += 1
            telling += ahead > CLOSE
    return within, compared, telling


def corpora(found: Found) -> list[str]:
    return list(found["before"])


def data_of(corpus: str) -> Data:
    return Data.REAL if corpus == REAL else Data.MADE_UP


def by_corpus(found: Found) -> Iterator[tuple[str, str, Figures]]:
    """Every model and corpus that has findings."""
    for corpus in corpora(found):
        for name in MODELS:
            if found[name][corpus]["findings"]:
                yield name, corpus, found[name][corpus]


def show_scores(found: Found) -> None:
    scores = (
        (MODELS[name], *("{:.3f} ({:.3f} to {:.3f})".format(*one["macro_f1"]) for one in by_name.values()))
        for name, by_name in found.items()
    )
    columns = ("held-out reports", *(f"macro F1, {corpus}" for corpus in corpora(found)))
    print(f"\n{markdown(columns, scores)}")


def show_faithfulness(found: Found) -> None:
    for figures_shown, title in (
        (FIGURES, "faithfulness, of the probability (less sufficiency is better: it is what is lost)"),
        (
            NORMALISED,
            f"faithfulness, normalised (more is better; null differences below {LEAST_NULL_DIFFERENCE} left out)",
        ),
    ):
        names = (figure.removeprefix("normalised ") for figure in figures_shown)
        rows = []
        for name, corpus, figures in by_corpus(found):
            for method in METHODS:
                means = [mean(figures["values"][method][figure]) for figure in figures_shown]
                counts = "/".join(dict.fromkeys(str(one.count if one else 0) for one in means))  # masked/deleted
                rows.append((corpus, name, method, counts, *map(cell, means), seconds(figures, method)))
        print(f"\n{title}\n")
        print(markdown(("corpus", "model", "method", "findings", *names, "s a finding"), rows))


def show_differences(found: Found) -> None:
    """The check: ours against fifty steps, in every figure, and what either costs."""
    for name, corpus, figures in by_corpus(found):
        left_out = (
            f"{figures['values'][OURS][f'normalised sufficiency {removal}'].count(None)} {removal}"
            for removal in Removal
        )
        print(f"\n{name}, {corpus}: {figures['findings']} findings; not normalised: {', '.join(left_out)}")
        for figure, difference in behind(figures).items():
            verdict = "within" if close(figure, difference) else "NOT within"
            one = f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
            print(f"ours_minus_ig50 {figure.replace(' ', '_')} {one} {verdict} {CLOSE}")
        for what, method in (("", OURS), ("_finding_by_finding", ALONE)):
            ratio = figures["seconds"][method] / figures["seconds"][CAPTUM]
            print(f"ours_over_ig50_seconds{what} {ratio:.3f}")
    for name, by_name in found.items():
        for corpus in (corpus for corpus, figures in by_name.items() if not figures["findings"]):
            print(f"\n{name}, {corpus}: no finding was said and true, so nothing was explained")
    within, compared, telling = verdicts(found)
    print(
        f"\nours is within {CLOSE} of {FIFTY} steps in {within} of {compared} figures; in {telling} of them they beat "
        f"a random order by more than {CLOSE}, without which the comparison says nothing\n"
    )


def cell(found: Mean | None) -> str:
    return "–" if found is None else f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})"


def seconds(figures: Figures, method: str) -> str:
    taken = figures["seconds"].get(method)
    return "–" if taken is None else f"{taken:.3f}"


def write_csv(found: Found, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            ("model", "corpus", "data", "method", "figure", "findings", "mean", "low", "high", "seconds per finding")
        )
        for name, corpus, figures in by_corpus(found):
            for method in METHODS:
                for figure in (*FIGURES, *NORMALISED):
                    one = mean(figures["values"][method][figure])
                    values = (one.count, one.mean, one.low, one.high) if one else (0, "", "", "")
                    taken = figures["seconds"].get(method, "")
                    writer.writerow((name, corpus, data_of(corpus), method, figure, *values, taken))
            for figure, one in behind(figures).items():
                values = (one.count, one.mean, one.low, one.high)
                writer.writerow((name, corpus, data_of(corpus), "ours less 50 steps", figure, *values, ""))


def draw(found: Found, out: Path) -> None:
    """The normalised figures, which can be compared across models, with their intervals."""
    figure = Figure(figsize=(13, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(corpora(found)), len(NORMALISED), sharey=True, squeeze=False)
    for row, corpus in zip(grid, corpora(found), strict=True):
        for axes, shown_figure in zip(row, NORMALISED, strict=True):
            for place, name in enumerate(MODELS):
                for offset, method in enumerate(METHODS):
                    values = found[name][corpus]["values"].get(method, {}).get(shown_figure, [])
                    one = mean(values)
                    if one is None:
                        continue
                    axes.errorbar(
                        place + 0.18 * (offset - 1.5),
                        one.mean,
                        yerr=[[one.mean - one.low], [one.high - one.mean]],
                        fmt="o",
                        markersize=5,
                        capsize=3,
                        color=COLOURS[method],
                        label=method if place == 0 else None,
                    )
            axes.set_xticks(range(len(MODELS)), MODELS)
            axes.set_xlim(-0.5, len(MODELS) - 0.5)
            axes.set_ylim(0, 1.02)
            axes.grid(axis="y", color="0.92")
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_title(shown_figure.removeprefix("normalised ").replace(" ", ", words "), fontsize=10)
        row[0].set_ylabel(corpus)
    handles, names = next((legend for axes in grid.flat if (legend := axes.get_legend_handles_labels())[0]), ([], []))
    figure.legend(handles, names, loc="outside lower center", ncols=len(METHODS), frameon=False)
    figure.suptitle(
        "Faithfulness, normalised by the null difference (more is better), before and after bilingual pre-training\n"
        "Korean reports are made up; bars are 95 % intervals over findings"
    )
    part = out.with_name(f".{out.name}.part")
    figure.savefig(part, format="png", dpi=150)
    part.replace(out)


def summary(found: Found) -> dict[str, object]:
    rows = []
    within, compared, telling = verdicts(found)
    for name, corpus, figures in by_corpus(found):
        differences = behind(figures)
        rows.append(
            {
                "data": data_of(corpus),
                "corpus": corpus,
                "model": name,
                "findings": figures["findings"],
                "macro_f1": round(figures["macro_f1"][0], 4),
                **{
                    method: {
                        figure: round(one.mean, 4)
                        for figure in (*FIGURES, *NORMALISED)
                        if (one := mean(figures["values"][method][figure]))
                    }
                    for method in METHODS
                },
                "ours_minus_ig50": {figure: round(one.mean, 4) for figure, one in differences.items()},
                "seconds_per_finding": {method: round(one, 5) for method, one in figures["seconds"].items()},
                "ours_over_ig50_seconds": round(figures["seconds"][OURS] / figures["seconds"][CAPTUM], 4),
            }
        )
    return {
        "within": CLOSE,
        "figures_within": within,
        "figures_compared": compared,
        "figures_that_tell_fifty_steps_from_random": telling,
        "results": rows,
    }
