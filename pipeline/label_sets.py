"""Label sets: the findings that a model can name, in order, with their columns in SQL."""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ScalarSelect, func, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import InstrumentedAttribute, Session

from pipeline import promotions
from pipeline.database import DatabaseFailed, translated
from pipeline.errors import NightreadError
from pipeline.label_set_files import RESERVED_COLUMNS, LabelSetFile, NamedLabel
from pipeline.tables import Annotation, Label, LabelSet, ModelVersion

DEFAULT_NAME = "ct-rate-18"

# What generate_report_labels() calls views of somebody's own that keep it from its work.
_VIEWS_DEPEND = "views_depend_on_report_labels"

# What `train` calls a set of labels that nobody has named yet; `labels import` may give it a name.
UNNAMED = "labels-"

# English name as in CT-RATE (Hamamci et al., 2024), column in report_labels, Korean name.
CT_RATE_FINDINGS: tuple[tuple[str, str, str], ...] = (
    ("Medical material", "medical_material", "의료 기구"),
    ("Arterial wall calcification", "arterial_wall_calcification", "동맥벽 석회화"),
    ("Cardiomegaly", "cardiomegaly", "심비대"),
    ("Pericardial effusion", "pericardial_effusion", "심낭 삼출"),
    ("Coronary artery wall calcification", "coronary_artery_wall_calcification", "관상동맥벽 석회화"),
    ("Hiatal hernia", "hiatal_hernia", "열공 탈장"),
    ("Lymphadenopathy", "lymphadenopathy", "림프절 종대"),
    ("Emphysema", "emphysema", "폐기종"),
    ("Atelectasis", "atelectasis", "무기폐"),
    ("Lung nodule", "lung_nodule", "폐 결절"),
    ("Lung opacity", "lung_opacity", "폐 음영"),
    ("Pulmonary fibrotic sequela", "pulmonary_fibrotic_sequela", "폐 섬유화 후유증"),
    ("Pleural effusion", "pleural_effusion", "흉수"),
    ("Mosaic attenuation pattern", "mosaic_attenuation_pattern", "모자이크 감쇠 양상"),
    ("Peribronchial thickening", "peribronchial_thickening", "기관지 주위 비후"),
    ("Consolidation", "consolidation", "폐경화"),
    ("Bronchiectasis", "bronchiectasis", "기관지 확장증"),
    ("Interlobular septal thickening", "interlobular_septal_thickening", "소엽간 중격 비후"),
)


# SNOMED CT concept and RadLex id, where one says the same as the finding. A code that says more or less is left out:
# a wrong one is worse than none.
CT_RATE_CODES: dict[str, tuple[str | None, str | None]] = {
    "Cardiomegaly": ("8186001", None),
    "Pericardial effusion": ("373945007", "RID38588"),
    "Coronary artery wall calcification": ("445512009", None),
    "Hiatal hernia": ("84089009", None),
    "Lymphadenopathy": ("30746006", "RID3798"),
    "Emphysema": ("87433001", "RID4799"),
    "Atelectasis": ("46621007", "RID28493"),
    "Lung nodule": ("786838002", "RID50149"),
    "Pleural effusion": ("60046008", "RID34539"),
    "Consolidation": ("95436008", "RID43255"),
    "Bronchiectasis": ("12295008", None),
}


class UnknownLabelSet(NightreadError):
    """No such label set, or none was named and there is more than one."""


class ViewInUse(NightreadError):
    """Somebody's own views stand on report_labels, which therefore cannot change; nothing was done."""


class LabelSetDiffers(NightreadError):
    """A label set of that name, or of those findings, is there already and is another one."""


@dataclass(frozen=True)
class Listed:
    """A label set, and how much there is of it."""

    name: str
    findings: int
    annotations: int
    models: int
    serves: bool


@dataclass(frozen=True)
class Stored:
    """What an import of a label set came to. `former_name` is what the set was called before, if it was renamed."""

    label_set_id: int
    created: bool
    changed: int
    former_name: str | None
    view_rebuilt: bool


def register_default(session: Session) -> int:
    """The 18 CT-RATE findings, registered once; the label set's id. Codes are filled in where there are none at all."""
    names = [name for name, _, _ in CT_RATE_FINDINGS]
    found = _with_names(session, names)
    if found is None:
        found = _register(
            session, DEFAULT_NAME, [NamedLabel(name, korean, at) for name, at, korean in CT_RATE_FINDINGS]
        )
        rebuild_view(session, found)
    labels = _labels(session, found)
    if not any(one.snomed_ct or one.radlex for one in labels):
        for one in labels:
            one.snomed_ct, one.radlex = CT_RATE_CODES.get(one.name, (None, None))
        session.flush()
    return found


def for_names(session: Session, names: Sequence[str]) -> int:
    """The label set of exactly these labels, in whatever order; registered now if nobody has it yet."""
    found = _with_names(session, names)
    if found is not None:
        return found
    digest = hashlib.sha256("\x1f".join(sorted(names)).encode()).hexdigest()[:12]
    return _register(session, f"{UNNAMED}{digest}", [NamedLabel(name) for name in names])


def store(session: Session, name: str, file: LabelSetFile) -> Stored:
    """Register a hospital's own findings under a name, or bring what is known of them up to date.

    Models and annotations refer to a set's names and their order, so these never change; a set that `train` had to
    make up a name for gets this one. The wide view is rebuilt if it shows this set or no model serves yet; otherwise
    it follows the promotion of a model. Raises `LabelSetDiffers`.
    """
    promotions.keep_out(session)  # or the view could be rebuilt for a set that serves no more
    wanted = {label.name: label for label in file.labels}
    label_set = session.scalar(select(LabelSet).where(LabelSet.name == name))
    of_same_names = _with_names(session, list(wanted))
    former_name = None
    if label_set is None and of_same_names is not None:
        label_set = session.get_one(LabelSet, of_same_names)
        if not label_set.name.startswith(UNNAMED):
            raise LabelSetDiffers(
                f"these findings are the label set {label_set.name!r} already; to change its codes and Korean names, "
                f"import the file with --name {label_set.name}"
            )
        former_name, label_set.name = label_set.name, name
    if label_set is None:
        created = _register(session, name, file.labels)
        return Stored(created, True, len(file.labels), None, _rebuild_view_if_shown(session, created))
    labels = _labels(session, label_set.id)
    differing = sorted({label.name for label in labels} ^ wanted.keys())
    if differing:
        raise LabelSetDiffers(
            f"label set {name!r} has other findings than the file; only one of the two has: {', '.join(differing)}. "
            "Models refer to a set's findings, so they never change; import these under another name"
        )
    changed = _update(labels, wanted, file.columns)
    session.flush()
    return Stored(label_set.id, False, changed, former_name, _rebuild_view_if_shown(session, label_set.id))


def _update(labels: Sequence[Label], wanted: Mapping[str, NamedLabel], columns: Collection[str]) -> int:
    """Give labels the Korean names, columns and codes that a file has; how many of them differed."""
    owners = {label.column_name: label.name for label in labels}
    changed = 0
    for label in labels:
        new = wanted[label.name]
        given = {name: getattr(new, name) for name in ("korean_name", "snomed_ct", "radlex") if name in columns}
        if new.column_name:
            if owners.get(new.column_name, label.name) != label.name:
                # Whoever asks for it in SQL would get another finding without noticing.
                raise LabelSetDiffers(
                    f"the column {new.column_name!r} belongs to {owners[new.column_name]!r} and cannot go over to "
                    f"{label.name!r}; choose another column_name"
                )
            given["column_name"] = new.column_name
        differing = {name: value for name, value in given.items() if getattr(label, name) != value}
        for name, value in differing.items():
            setattr(label, name, value)
        changed += bool(differing)
    return changed


def _serving(session: Session) -> int | None:
    """The label set of the model that serves."""
    version = promotions.serving_id(session)
    return session.scalar(select(ModelVersion.label_set_id).where(ModelVersion.id == version))


def _rebuild_view_if_shown(session: Session, label_set_id: int) -> bool:
    serving = _serving(session)
    if serving not in (None, label_set_id):
        return False
    rebuild_view(session, label_set_id)
    return True


def rebuild_view(session: Session, label_set_id: int) -> None:
    """Let the wide view report_labels show this label set. Raises `ViewInUse`."""
    try:
        with translated():
            session.execute(text("SELECT generate_report_labels(:label_set)"), {"label_set": label_set_id})
    except DatabaseFailed as failed:
        if failed.constraint != _VIEWS_DEPEND:
            raise
        raise ViewInUse(
            "the view report_labels has to change its columns, and other views are built on it; drop those views, do "
            "this again, and then make them anew: `SELECT pg_get_viewdef('NAME')` gives a view's text to keep"
        ) from None


def named(session: Session, name: str) -> LabelSet:
    """A label set by name. Raises `UnknownLabelSet`."""
    found = session.scalar(select(LabelSet).where(LabelSet.name == name))
    if found is None:
        raise UnknownLabelSet(f"there is no label set {name!r}; known are: {', '.join(known(session))}")
    return found


def known(session: Session) -> dict[str, tuple[str, ...]]:
    """Every label set's name and its labels in order; the sets as they were registered."""
    rows = session.execute(
        select(LabelSet.name, Label.name)
        .join(Label, Label.label_set_id == LabelSet.id)
        .order_by(LabelSet.id, Label.position)
    )
    found: dict[str, tuple[str, ...]] = {}
    for label_set, label in rows:
        found[label_set] = (*found.get(label_set, ()), label)
    return found


def listed(session: Session) -> list[Listed]:
    """Every label set, as they were registered."""
    shows = _serving(session)

    def number_of(column: InstrumentedAttribute[int]) -> ScalarSelect[int]:
        return select(func.count()).where(column == LabelSet.id).correlate(LabelSet).scalar_subquery()

    rows = session.execute(
        select(
            LabelSet.id,
            LabelSet.name,
            number_of(Label.label_set_id),
            number_of(Annotation.label_set_id),
            number_of(ModelVersion.label_set_id),
        ).order_by(LabelSet.id)
    )
    return [
        Listed(name, findings, annotations, models, serves=label_set_id == shows)
        for label_set_id, name, findings, annotations, models in rows
    ]


def shown(session: Session) -> LabelSet:
    """The serving model's label set, or else the default one."""
    return session.get_one(LabelSet, _serving(session) or register_default(session))


def labels_of(session: Session, label_set_id: int) -> list[NamedLabel]:
    """All that is known of a set's labels, in order."""
    return [
        NamedLabel(one.name, one.korean_name, one.column_name, one.snomed_ct, one.radlex)
        for one in _labels(session, label_set_id)
    ]


def names(session: Session, label_set_id: int) -> list[str]:
    """A set's label names, in order."""
    return list(session.scalars(select(Label.name).where(Label.label_set_id == label_set_id).order_by(Label.position)))


def column_name(name: str, *, position: int, taken: Collection[str]) -> str:
    """A unique ASCII column name for a label; `label_7` for one whose name has no ASCII letters."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    column = re.sub(r"[^a-z0-9]+", "_", ascii_only).strip("_")[:55]
    if not column or not column[0].isalpha():
        column = f"label_{position}"
    numbered, number = column, position
    while numbered in taken or numbered in RESERVED_COLUMNS:
        numbered = f"{column}_{number}"
        number += 1  # a label may be called "GGO 3" itself
    return numbered


def _with_names(session: Session, names: Sequence[str]) -> int | None:
    wanted = sorted(names)
    return session.scalar(
        select(Label.label_set_id)
        .group_by(Label.label_set_id)
        # Compared as Python sorts, not as the database's collation does.
        .having(func.array_agg(aggregate_order_by(Label.name, Label.name.collate("C"))) == wanted)
        .order_by(Label.label_set_id)
        .limit(1)
    )


def _labels(session: Session, label_set_id: int) -> list[Label]:
    return list(session.scalars(select(Label).where(Label.label_set_id == label_set_id).order_by(Label.position)))


def _register(session: Session, name: str, labels: Sequence[NamedLabel]) -> int:
    label_set = LabelSet(name=name)
    session.add(label_set)
    session.flush()
    taken = {label.column_name for label in labels if label.column_name}
    for position, label in enumerate(labels, 1):
        column = label.column_name or column_name(label.name, position=position, taken=taken)
        taken.add(column)
        session.add(
            Label(
                label_set_id=label_set.id,
                position=position,
                name=label.name,
                column_name=column,
                korean_name=label.korean_name,
                snomed_ct=label.snomed_ct,
                radlex=label.radlex,
            )
        )
    session.flush()
    return label_set.id
