"""Probabilities, weights and times in words."""

from datetime import datetime
from zoneinfo import ZoneInfo

from nightread.console import local_time

LANGUAGES = {"ko": "Korean", "en": "English", "mixed": "Korean and English"}


def probability(value: float) -> str:
    """Two decimals; never a certainty that no model has."""
    if value >= 0.995:
        return "> 0.99"
    return "< 0.01" if value < 0.005 else f"{value:.2f}"


def judged(value: float, threshold: float) -> str:
    """ "0.93, positive from 0.41": with more decimals where two would hide the difference."""
    decimals = next((d for d in (2, 3, 4, 5) if f"{value:.{d}f}" != f"{threshold:.{d}f}"), 2)
    said = probability(value) if decimals == 2 else f"{value:.{decimals}f}"
    return f"{said}, positive from {threshold:.{decimals}f}"


def weight(value: float) -> str:
    """Signed logits with a real minus sign."""
    rounded = f"{abs(value):.2f}"
    if rounded == "0.00":
        return "0.00"
    return f"+{rounded}" if value > 0 else f"−{rounded}"


def day(moment: datetime | None, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d}" if moment else "not stated"


def minute(moment: datetime, zone: ZoneInfo) -> str:
    return f"{local_time(moment, zone)} ({zone.key})"
