"""The picture of a pre-training: its loss, step by step."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def draw(log: Sequence[Mapping[str, object]], out: Path) -> None:
    """Writes a PNG of the losses in `log`, each step faint and their running mean over it; an old one is replaced."""
    steps = np.array([int(str(line["step"])) for line in log])
    losses = np.array([float(str(line["loss"])) for line in log])
    window = max(1, len(losses) // 50)
    summed = np.cumsum(np.concatenate(([0.0], losses)))
    running = (summed[window:] - summed[:-window]) / window
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(steps, losses, color="0.75", linewidth=0.8, label="each step")
    axes.plot(steps[window - 1 :], running, color="#0072b2", linewidth=1.8, label=f"mean of {window} steps")
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats per masked token)")
    axes.grid(color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    part = out.with_name(f".{out.name}.part")
    figure.savefig(part, format="png", dpi=150)
    part.replace(out)
