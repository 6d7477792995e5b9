"""Label sets: the findings that a model can name, in order, with their columns in SQL."""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Sequence

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from pipeline.tables import Label, LabelSet

DEFAULT_NAME = "ct-rate-18"

# Columns that report_labels has before the labels' own.
RESERVED_COLUMNS = frozenset(
    {"report_id", "site", "source_system", "source_id", "version", "accession", "patient", "study_at", "received_at"}
    | {"language", "flagged", "model_version", "labelled_at", "stale"}
)

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


def register_default(session: Session) -> int:
    """The 18 CT-RATE findings, registered once; the label set's id."""
    names = [name for name, _, _ in CT_RATE_FINDINGS]
    found = _with_names(session, names)
    if found is not None:
        return found
    label_set = _register(session, DEFAULT_NAME, CT_RATE_FINDINGS)
    session.execute(text("SELECT generate_report_labels(:label_set)"), {"label_set": label_set})
    return label_set


def for_names(session: Session, names: Sequence[str]) -> int:
    """The label set of exactly these labels, in whatever order; registered now if nobody has it yet."""
    found = _with_names(session, names)
    if found is not None:
        return found
    taken: set[str] = set()
    labels = []
    for position, name in enumerate(names, 1):
        column = column_name(name, position=position, taken=taken)
        taken.add(column)
        labels.append((name, column, None))
    digest = hashlib.sha256("\x1f".join(sorted(names)).encode()).hexdigest()[:12]
    return _register(session, f"labels-{digest}", labels)


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


def _register(session: Session, name: str, labels: Sequence[tuple[str, str, str | None]]) -> int:
    label_set = LabelSet(name=name)
    session.add(label_set)
    session.flush()
    session.add_all(
        Label(label_set_id=label_set.id, position=position, name=label, column_name=column, korean_name=korean)
        for position, (label, column, korean) in enumerate(labels, 1)
    )
    session.flush()
    return label_set.id
