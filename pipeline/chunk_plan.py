"""What a chunk of a feed comes to: one decision after the other, each seeing what the ones before it did. Pure."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pipeline import identifying, intake
from pipeline.feeds.record import Item, Record, Skipped, Unreadable
from pipeline.identifying import Identifier
from pipeline.intake import Current, Decision, Outcome


@dataclass
class Standing:
    """A report as it stands while its chunk is gone through; `row` is its new version, if it gets one."""

    current: Current | None = None
    in_quarantine: bool = False
    report_id: int | None = None
    row: "NewReportVersion | None" = None
    withdraw: bool = False
    flag: bool | None = None
    touched_at: datetime | None = None


@dataclass
class NewReportVersion:
    record: Record
    version: int
    content_hash: str
    is_current: bool = True
    withdrawn: bool = False
    flagged: bool = False


@dataclass(frozen=True)
class SetAside:
    item: Record | Unreadable
    reason: str
    kinds: tuple[str, ...] = ()


@dataclass
class Plan:
    """What a chunk comes to, before anything is written."""

    standing: dict[str, Standing]
    rows: list[NewReportVersion] = field(default_factory=list)
    superseded: list[int] = field(default_factory=list)
    quarantined: list[SetAside] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)


def take(plan: Plan, item: Item, *, record_numbers: Sequence[str] = (), waived: Collection[str] = ()) -> Decision:
    """Decide on the next item and plan for it; `plan.standing` must know its report.

    `record_numbers` are the patterns of the hospital's own record numbers; the guard passes over the kinds `waived`.
    """
    match item:
        case Skipped():
            plan.skipped[item.reason] += 1
            plan.outcomes[Outcome.SKIPPED] += 1
            return Decision(Outcome.SKIPPED, item.reason)
        case Unreadable():
            _set_aside(plan, item, item.reason)
            return Decision(Outcome.QUARANTINED, item.reason)
        case Record():
            new_hash = intake.content_hash(item)
            here = plan.standing[item.source_id]
            decision = intake.decide(
                item,
                new_hash=new_hash,
                current=here.current,
                identifiers=_identifiers(item, record_numbers, waived),
                in_quarantine=here.in_quarantine,
            )
            _apply(plan, item, decision, new_hash)
            return decision


def _identifiers(record: Record, record_numbers: Sequence[str], waived: Collection[str]) -> tuple[Identifier, ...]:
    if record.text is None:
        return ()
    found = identifying.kinds_in_record(
        text=record.text, patient=record.patient, accession=record.accession, record_numbers=record_numbers
    )
    return tuple(kind for kind in found if kind not in waived)


def _apply(plan: Plan, record: Record, decision: Decision, new_hash: str) -> None:
    here = plan.standing[record.source_id]
    match decision.outcome:
        case Outcome.QUARANTINED:
            _set_aside(plan, record, decision.reason or "", decision.kinds)
            return
        case Outcome.SKIPPED:
            plan.skipped[decision.reason or ""] += 1
        case Outcome.UNCHANGED:
            if _is_later(record.updated_at, here):
                _flag(here, False)
            _touch(here, record.updated_at)
        case Outcome.WITHDRAWN if here.current is not None:
            here.withdraw = here.row is None
            if here.row is not None:
                here.row.withdrawn = True
            here.current = replace(here.current, withdrawn=True)
            _touch(here, record.updated_at)
        case Outcome.NEW | Outcome.AMENDED | Outcome.REINSTATED | Outcome.WITHDRAWN:
            _supersede(plan, here, record, new_hash)
    plan.outcomes[decision.outcome] += 1


def _supersede(plan: Plan, here: Standing, record: Record, new_hash: str) -> None:
    if here.row is not None:
        here.row.is_current = False
    elif here.report_id is not None:
        plan.superseded.append(here.report_id)
    version = here.current.version + 1 if here.current else 1
    here.row = NewReportVersion(record, version, new_hash, withdrawn=record.withdrawn)
    here.current = Current(version, new_hash, record.updated_at, record.withdrawn)
    plan.rows.append(here.row)


def _set_aside(plan: Plan, item: Record | Unreadable, reason: str, kinds: tuple[str, ...] = ()) -> None:
    plan.quarantined.append(SetAside(item, reason, kinds))
    plan.outcomes[Outcome.QUARANTINED] += 1
    here = plan.standing.get(item.source_id) if item.source_id is not None else None
    if here is None:
        return
    here.in_quarantine = True
    if here.current is None:
        return
    held = here.current.source_updated_at
    if item.updated_at is None or held is None or item.updated_at >= held:
        _flag(here, True)  # an amendment we could not take: the version that stands may be out of date


def _flag(here: Standing, flagged: bool) -> None:
    if here.row is not None:
        here.row.flagged = flagged
    else:
        here.flag = flagged


def _is_later(updated_at: datetime | None, here: Standing) -> bool:
    """Whether the source said the same again after what we could not take, rather than a file being read again."""
    held = here.current.source_updated_at if here.current else None
    return updated_at is None or held is None or updated_at > held


def _touch(here: Standing, updated_at: datetime | None) -> None:
    """Remember that the source said the same again later, so that what it said before stays outdated."""
    if updated_at is None or here.current is None:
        return
    here.current = replace(here.current, source_updated_at=updated_at)
    here.touched_at = updated_at
    if here.row is not None:
        here.row.record = replace(here.row.record, updated_at=updated_at)
