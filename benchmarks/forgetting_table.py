"""What the cells of benchmarks/forgetting.py come to: forgetting, learning and cost of every arm; tables and a picture.

R[i][j] is bits per byte on period j after refresh i (0: the foundation); lower is better.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Matrix = Sequence[Sequence[float]]

NAIVE, NONE, JOINT = "naive", "no refresh", "joint"
AIMS = {"forgetting_vs_naive": 0.1, "learning_vs_naive": 0.95, "cost_vs_naive": 1.5}
# Bits per byte. A stream on which naive forgets less shows nothing.
TOO_EASY = 0.05


class Run(NamedTuple):
    """One arm with one seed."""

    bits: Matrix
    similarity: Sequence[Mapping[str, float]]  # after every refresh, by language
    f1: Mapping[str, float]  # after the last, by period
    tokens: int
    new_tokens: int
    seconds: float  # of training


class Summary(NamedTuple):
    """An arm over all seeds; bits per byte, and the three figures beside naive's."""

    arm: str
    forgetting: float  # mean over the earlier periods and seeds, may be negative
    worst: float  # of the earlier periods
    backward: float  # backward transfer; negative: worse than when it was learnt
    learning: float  # gain on the newest period over no refresh
    forgetting_vs_naive: float  # the mean, no less than zero, over naive's
    floored_vs_naive: float  # stricter: every period by itself no less than zero, so that none makes up for another
    learning_vs_naive: float
    cost_vs_naive: float  # seconds of training for as much new text
    tokens_vs_naive: float
    by_seed: tuple[tuple[float, float], ...]  # forgetting_vs_naive and learning_vs_naive


def read(file: Path, seconds_per_new_token: float) -> Run:
    """The cell in `file`. Joint training takes naive's seconds: all of its text is new to it."""
    cell = json.loads(file.read_text(encoding="utf-8"))
    stages = cell["stages"]
    tokens, new_tokens = (sum(stage.get(what, 0) for stage in stages) for what in ("tokens", "new_tokens"))
    return Run(
        [stage["bits"] for stage in stages],
        [stage["similarity"] for stage in stages],
        cell.get("f1", {}),
        tokens,
        new_tokens,
        seconds_per_new_token * new_tokens,
    )


def forgotten(bits: Matrix) -> list[float]:
    """Of every period but the newest: how much worse the end is than the best since it was learnt (Chaudhry et al.,
    2018, section 3). Below zero where the end is the best.
    """
    *before, last = bits
    return [last[period] - min(row[period] for row in before[period:]) for period in range(len(before))]


def backward_transfer(bits: Matrix) -> float:
    """Mean over the earlier periods of how much better the end is than right after learning (Lopez-Paz and Ranzato,
    2017).
    """
    return mean(bits[period][period] - bits[-1][period] for period in range(len(bits) - 1))


def learnt(bits: Matrix) -> float:
    """What all refreshes together gained on the newest period: every arm starts from the same foundation."""
    return bits[0][-1] - bits[-1][-1]


def summarize(runs: Mapping[str, Sequence[Run]]) -> list[Summary]:
    """Every arm beside naive, seed by seed (an arm may have fewer). An arm without a stage after each period, as joint
    training, forgets what it lacks to the foundation.
    """
    return [_summary(arm, some, runs[NAIVE][: len(some)]) for arm, some in runs.items()]


def _summary(arm: str, runs: Sequence[Run], naive: Sequence[Run]) -> Summary:
    each = [forgotten(run.bits) for run in runs]
    theirs = [forgotten(run.bits) for run in naive]
    forgetting = mean(map(mean, each))
    learning = mean(learnt(run.bits) for run in runs)
    return Summary(
        arm,
        forgetting,
        max(map(mean, zip(*each, strict=True))),
        mean(backward_transfer(run.bits) for run in runs),
        learning,
        max(0.0, forgetting) / mean(map(mean, theirs)),
        mean(map(_floored, each)) / mean(map(_floored, theirs)),
        learning / mean(learnt(run.bits) for run in naive),
        sum(run.seconds for run in runs) / sum(run.seconds for run in naive),
        sum(run.tokens for run in runs) / sum(run.tokens for run in naive),
        tuple(
            (max(0.0, mean(ours)) / mean(other), learnt(run.bits) / learnt(beside.bits))
            for ours, other, run, beside in zip(each, theirs, runs, naive, strict=True)
        ),
    )


def _floored(values: Sequence[float]) -> float:
    return mean(max(0.0, value) for value in values)


def markdown(title: str, periods: Sequence[str], runs: Mapping[str, Sequence[Run]]) -> str:
    """Two tables: what every arm comes to, and where it ends."""
    lines = [
        f"# {title}",
        "",
        "Forgetting: bits per byte on held-out text, mean over the earlier periods of how much worse the end is than "
        "the best since the period was learnt; learning: gain on the newest period over no refresh. Seconds: of "
        "training, for as much new text. Means of the seeds, each in brackets; every arm beside naive of its seeds.",
        "",
        "| | forgetting | ÷ naive's | each period floored | worst period | backward transfer | learning ÷ naive's "
        "| seconds ÷ naive's | tokens ÷ naive's |",
        f"|---|{'---|' * 8}",
    ]
    for one in summarize(runs):
        seeds = [" ".join(f"{value:.2f}" for value in values) for values in zip(*one.by_seed, strict=True)]
        lines.append(
            f"| {one.arm} | {one.forgetting:+.3f} | {one.forgetting_vs_naive:.3f} ({seeds[0]}) "
            f"| {one.floored_vs_naive:.3f} | {one.worst:+.3f} | {one.backward:+.3f} "
            f"| {one.learning_vs_naive:.3f} ({seeds[1]}) | {one.cost_vs_naive:.2f} | {one.tokens_vs_naive:.2f} |"
        )
    languages = list(runs[NAIVE][0].similarity[-1])
    judged = list(runs[NAIVE][0].f1)
    heads = [f"bits: {name}" for name in periods] + [f"r: {name}" for name in languages] + [f"F1: {n}" for n in judged]
    lines += ["", "After the last refresh:", "", f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for arm, some in runs.items():
        ends = [mean(run.bits[-1][period] for run in some) for period in range(len(periods))]
        ends += [mean(run.similarity[-1][language] for run in some) for language in languages]
        ends += [mean(run.f1[name] for run in some) for name in judged]
        lines.append(f"| {arm} | {' | '.join(f'{value:.3f}' for value in ends)} |")
    return "\n".join([*lines, ""])


def write_csv(periods: Sequence[str], runs: Mapping[str, Sequence[Run]], file: Path) -> None:
    """Every figure after every refresh, a line each."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("arm", "seed", "after refresh", "figure", "of", "value"))
        for arm, some in runs.items():
            for seed, run in enumerate(some):
                last = len(run.bits) - 1
                for after, (row, alike) in enumerate(zip(run.bits, run.similarity, strict=True)):
                    named = zip(periods, row, strict=True)
                    writer.writerows((arm, seed, after, "bits per byte", period, value) for period, value in named)
                    writer.writerows((arm, seed, after, "similarity", name, value) for name, value in alike.items())
                writer.writerows((arm, seed, last, "macro F1", period, value) for period, value in run.f1.items())
                for what in ("tokens", "new_tokens", "seconds"):
                    writer.writerow((arm, seed, last, what, "", getattr(run, what)))


def draw(summaries: Sequence[Summary], file: Path) -> None:
    """The frontier: forgetting against learning, coloured by cost; where all aims are met is shaded."""
    shown = [one for one in summaries if one.arm not in {NONE, JOINT}]
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    top = 0.01 + max(one.learning_vs_naive for one in shown)
    aims = AIMS["forgetting_vs_naive"], AIMS["learning_vs_naive"]
    axes.fill_between([-0.45, aims[0]], aims[1], top, color="#009e73", alpha=0.08, linewidth=0)
    axes.axhline(aims[1], color="0.6", linestyle=":", linewidth=1)
    axes.axvline(aims[0], color="0.6", linestyle=":", linewidth=1)
    dots = axes.scatter(
        [one.forgetting_vs_naive for one in shown],
        [one.learning_vs_naive for one in shown],
        c=[one.cost_vs_naive for one in shown],
        s=70,
        cmap="viridis_r",
        edgecolors="0.2",
        zorder=3,
    )
    for number, one in enumerate(sorted(shown, key=lambda one: one.learning_vs_naive)):
        axes.annotate(
            one.arm,
            (one.forgetting_vs_naive, one.learning_vs_naive),
            xytext=(-9 if number % 2 else 9, -3),  # neighbours on either side
            textcoords="offset points",
            horizontalalignment="right" if number % 2 else "left",
            fontsize=8,
        )
    axes.set_xlim(-0.45, 1.25)
    axes.set_ylim(top=top)
    figure.colorbar(dots, ax=axes, label="seconds of training ÷ naive's")
    axes.set_xlabel("forgetting ÷ naive's (left is better)")
    axes.set_ylabel("learning of the newest period ÷ naive's (up is better)")
    axes.set_title("What a refresh forgets, learns and costs; shaded: forgets and learns as aimed at", loc="left")
    axes.grid(color="0.94")
    axes.spines[["top", "right"]].set_visible(False)
    part = file.with_name(f".{file.name}.part")
    figure.savefig(part, format="png", dpi=130)
    part.replace(file)
