"""Hospitals apart: from whose annotations a model learns, and at which its figures are those of a stranger."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.errors import NightreadError
from pipeline.tables import Annotation, Split


class UnusableSites(NightreadError):
    """The annotations of these sites cannot be used so."""


class Where(StrEnum):
    """Whether a model is judged at a site that it learnt from."""

    INTERNAL = "internal"
    EXTERNAL = "external"


@dataclass(frozen=True)
class Parts:
    """What annotations are for. `gate` holds those that judge, for every site there is, and may hold none.

    `seen` counts gate annotations that are left out of it: the model learns from the same text at another site.
    """

    learnt_from: tuple[str, ...]
    fit: list[Annotation]
    calibration: list[Annotation]
    gate: dict[str, list[Annotation]]
    seen: int

    @property
    def internal(self) -> list[Annotation]:
        """Those that judge at the sites that the model learns from."""
        return [one for site in self.learnt_from for one in self.gate.get(site, ())]

    @property
    def fitted_on(self) -> list[int]:
        """Ids of those that fit or calibrate, and so cannot judge any more."""
        return [one.id for one in (*self.fit, *self.calibration)]

    @property
    def calibrated_at(self) -> tuple[str, ...]:
        """The sites of those that thresholds are set on."""
        return tuple(sorted({one.site for one in self.calibration}))

    @property
    def counts(self) -> dict[Split, int]:
        """How many there are of each split, at the sites that the model learns from."""
        return {
            Split.TRAIN: len(self.fit),
            Split.CALIBRATION: len(self.calibration),
            Split.GATE: len(self.internal),
        }


def to_train(given: Sequence[Annotation], *, sites: Collection[str] = ()) -> Parts:
    """Fit and calibrate on `sites` alone (default: all that have annotations to fit on), judge at every site.

    Raises `UnusableSites` for a site that is not there or has nothing to fit on.
    """
    train = {one.site for one in given if one.split == Split.TRAIN}
    known(sites, there={one.site for one in given})
    for site in sites:
        if site not in train:
            raise UnusableSites(
                f"no annotation of {site!r} is in the split train, so nothing can be fitted on it; sites that have "
                f"such: {', '.join(sorted(train)) or 'none'}"
            )
    fitted = set(sites) or train
    fit = [one for one in given if one.split == Split.TRAIN and one.site in fitted]
    calibration = [one for one in given if one.split == Split.CALIBRATION and one.site in fitted]
    return _parts(given, fit=fit, calibration=calibration, learnt_from=fitted, seen=())


def to_calibrate(
    given: Sequence[Annotation],
    *,
    sites: Collection[str],
    fitted: Collection[str],
    learnt_from: Collection[str],
    seen: Collection[str],
) -> Parts:
    """Calibrate a model on `sites` alone (default: where it was `fitted`; if nobody knows, everywhere), judge at every
    site. What it `learnt_from` are sites where it was fitted or calibrated before, `seen` the hashes of their texts.

    Raises `UnusableSites` for a site that is not there, if none is where it was fitted, or if there is nothing to
    calibrate on.
    """
    there = {one.site for one in given}
    known(sites, there=there)
    chosen = set(sites) or (there & set(fitted) if fitted else there)
    if not chosen:
        raise UnusableSites(
            f"the model was fitted on {', '.join(sorted(fitted))}, and these annotations are of "
            f"{', '.join(sorted(there)) or 'no site at all'}; to set its thresholds for another site, name it with "
            "--site"
        )
    calibration = [one for one in given if one.split == Split.CALIBRATION and one.site in chosen]
    if not calibration:
        raise UnusableSites(
            f"no annotation of {', '.join(map(repr, sorted(chosen)))} is in the split calibration; import more, name "
            "their splits, or name another site with --site"
        )
    return _parts(given, fit=[], calibration=calibration, learnt_from=chosen | set(learnt_from), seen=seen)


def known(sites: Iterable[str], *, there: Collection[str]) -> None:
    """Raises `UnusableSites` unless all these sites are `there`."""
    for site in sites:
        if site not in there:
            raise UnusableSites(
                f"none of these annotations is of the site {site!r}; there are: {', '.join(sorted(there))}"
            )


def where(site: str, *, learnt_from: Collection[str]) -> Where | None:
    """None if nobody knows what the model learnt from."""
    if not learnt_from:
        return None
    return Where.INTERNAL if site in learnt_from else Where.EXTERNAL


def _parts(
    given: Sequence[Annotation],
    *,
    fit: list[Annotation],
    calibration: list[Annotation],
    learnt_from: Collection[str],
    seen: Collection[str],
) -> Parts:
    # A text occurs once at a site, but a short normal report occurs at many, and may fall into another split there.
    hashes = {*seen, *(one.text_hash for one in fit), *(one.text_hash for one in calibration)}
    held = [one for one in given if one.split == Split.GATE]
    gate: dict[str, list[Annotation]] = {site: [] for site in sorted({one.site for one in given})}
    for one in held:
        if one.text_hash not in hashes:
            gate[one.site].append(one)
    left = sum(map(len, gate.values()))
    return Parts(tuple(sorted(learnt_from)), fit, calibration, gate, len(held) - left)
