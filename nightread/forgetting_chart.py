"""The picture of forgetting: per metric the matrix R[i][j] as a heatmap, and forgetting by refresh beside it."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.model_forgetting import After, Matrix

# Files of fonts that hold Hangul, as they come with Linux, macOS and Windows.
HANGUL = ("NotoSansCJK-Regular", "NotoSansKR", "NanumGothic", "AppleSDGothicNeo", "AppleGothic", "malgun")
# More rows or columns than this leave no room for figures in the cells.
MOST_WRITTEN = 16


def draw(matrices: Sequence[Matrix], out: Path) -> None:
    """Writes a PNG with a row per metric; an old one is replaced."""
    with mpl.rc_context({"font.family": ["DejaVu Sans", *_hangul()]}):  # a letter comes from the first that has it
        columns = max(len(matrix.suites) for matrix in matrices)
        heights = [1.6 + 0.38 * len(matrix.rows) for matrix in matrices]
        widths = [2.2 + 0.75 * columns, 4.5]
        figure = Figure(figsize=(sum(widths), max(3.2, sum(max(2.8, height) for height in heights))))
        figure.set_layout_engine("constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(matrices), 2, squeeze=False, width_ratios=widths, height_ratios=heights)
        for (left, right), matrix in zip(axes, matrices, strict=True):
            _draw_matrix(left, matrix)
            _draw_summaries(right, matrix)
        part = out.with_name(f".{out.name}.part")
        figure.savefig(part, format="png", dpi=150)
    part.replace(out)


def _hangul() -> list[str]:
    """A font that has Hangul, if this machine has one. Matplotlib's own list of fonts may be older than the font."""
    for path in sorted(font_manager.findSystemFonts()):
        if Path(path).stem.startswith(HANGUL):
            font_manager.fontManager.addfont(path)
            return [font_manager.fontManager.ttflist[-1].name]
    return []


def _draw_matrix(axes: Axes, matrix: Matrix) -> None:
    scores = np.full((len(matrix.rows), len(matrix.suites)), np.nan)
    learnt = np.zeros(scores.shape)
    for i, row in enumerate(matrix.rows):
        for j, suite in enumerate(matrix.suites):
            if (one := row.scores.get(suite)) is not None:
                scores[i, j], learnt[i, j] = one.score, one.learnt
    # Darker is better; what has yet to be learnt is faint.
    colours = mpl.colormaps["Blues_r" if matrix.lower_is_better else "Blues"]
    low, high = np.nanmin(scores), np.nanmax(scores)
    shade = mpl.colors.Normalize(low, high if high > low else low + 1)
    axes.imshow(scores, cmap=colours, norm=shade, alpha=np.where(learnt, 1.0, 0.3), aspect="auto")
    if max(scores.shape) <= MOST_WRITTEN:
        for i, j in zip(*np.nonzero(~np.isnan(scores)), strict=True):
            dark = learnt[i, j] and sum(colours(shade(scores[i, j]))[:3]) < 1.5
            colour = "white" if dark else "black" if learnt[i, j] else "0.5"
            axes.text(j, i, f"{scores[i, j]:.3f}", ha="center", va="center", color=colour, fontsize=8)
    names = [_broken(suite) for suite in matrix.suites]
    axes.set_xticks(range(len(names)), names, fontsize=8, rotation=90 if len(names) > MOST_WRITTEN else 0)
    axes.set_yticks(range(len(matrix.rows)), [_named(row) for row in matrix.rows], fontsize=8)
    better = "lower" if matrix.lower_is_better else "higher"
    axes.set_title(f"{matrix.metric}: {better} and darker is better, faint is not yet learnt", fontsize=10, loc="left")
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(matrix.rows) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(length=0, which="both")
    axes.spines[:].set_visible(False)


def _draw_summaries(axes: Axes, matrix: Matrix) -> None:
    for name, colour, marker in (("forgetting", "#d55e00", "o"), ("backward transfer", "#0072b2", "s")):
        values = [(row.refresh_number, getattr(row, name.replace(" ", "_"))) for row in matrix.rows]
        known = [(number, value) for number, value in values if value is not None]
        if known:
            axes.plot(*zip(*known, strict=True), color=colour, marker=marker, label=name, linewidth=1.8)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set_xlim(-0.5, max(row.refresh_number for row in matrix.rows) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("refresh", fontsize=9)
    unit = "bits per byte" if matrix.lower_is_better else str(matrix.metric)
    axes.set_title(f"forgetting above zero is bad ({unit})", fontsize=10, loc="left")
    axes.tick_params(labelsize=8)
    axes.grid(color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines[1:]:
        axes.legend(frameon=False, fontsize=8)
    else:
        axes.text(0, 0, "nothing was learnt before", ha="center", va="bottom", fontsize=9, color="0.4")
        axes.set_yticks([])


def _named(row: After) -> str:
    return f"{row.refresh_number} (model {row.model_version})"


def _broken(suite: str) -> str:
    """A stratum in lines, since it is wider than its column."""
    parts = suite.replace("/", ", ").split(", ")
    return "\n".join(line for part in parts for line in textwrap.wrap(part, 16))
