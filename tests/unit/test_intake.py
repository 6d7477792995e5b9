"""What counts as a new report: every decision, and each tried the wrong way round."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.feeds.record import Record
from pipeline.identifying import Identifier
from pipeline.intake import UNKNOWN_DELETION, Current, Decision, Outcome, content_hash, decide

MONDAY = datetime(2024, 3, 4, 2, tzinfo=UTC)
TUESDAY, SUNDAY = MONDAY + timedelta(days=1), MONDAY - timedelta(days=1)


def record(**changes: Any) -> Record:
    sent = Record(
        place="a.ndjson:1",
        source_id="r1",
        updated_at=MONDAY,
        withdrawn=False,
        text="No pleural effusion.",
        accession="A1",
        patient="P1",
        study_at=SUNDAY,
        issued_at=SUNDAY,
        code="24627-2",
        modality="CT",
    )
    return dataclasses.replace(sent, **changes)


def withdrawal(**changes: Any) -> Record:
    return record(**{"withdrawn": True, "text": None} | changes)


def held(as_sent: Record | None = None, *, withdrawn: bool = False, **changes: Any) -> Current:
    """A report that we hold just as `as_sent` stated it."""
    as_sent = as_sent or record()
    kept = Current(
        version=1, content_hash=content_hash(as_sent), source_updated_at=as_sent.updated_at, withdrawn=withdrawn
    )
    return dataclasses.replace(kept, **changes)


def outcome(sent: Record, current: Current | None, *identifiers: Identifier) -> Outcome:
    return decision(sent, current, *identifiers).outcome


def decision(sent: Record, current: Current | None, *identifiers: Identifier) -> Decision:
    return decide(sent, new_hash=content_hash(sent), current=current, identifiers=identifiers)


def test_what_we_never_saw_is_new() -> None:
    assert decision(record(), None) == Decision(Outcome.NEW)


def test_the_same_again_is_unchanged() -> None:
    assert outcome(record(), held()) is Outcome.UNCHANGED


def test_the_same_sent_later_is_unchanged() -> None:
    assert outcome(record(updated_at=TUESDAY), held()) is Outcome.UNCHANGED


def test_another_text_sent_later_amends() -> None:
    assert outcome(record(text="Small pleural effusion.", updated_at=TUESDAY), held()) is Outcome.AMENDED


@pytest.mark.parametrize(
    "change",
    [
        {"accession": "A2"},
        {"patient": "P2"},
        {"study_at": MONDAY},
        {"issued_at": None},
        {"code": "24628-0"},
        {"modality": None},
        {"text": "No pleural effusion. "},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_is_stored_amends_when_it_changes(change: dict[str, Any]) -> None:
    assert outcome(record(**change), held()) is Outcome.AMENDED


@pytest.mark.parametrize("change", [{"place": "b.ndjson:9"}, {"updated_at": TUESDAY}], ids=["place", "updated_at"])
def test_where_and_when_it_was_sent_does_not_amend(change: dict[str, Any]) -> None:
    assert outcome(record(**change), held()) is Outcome.UNCHANGED


def test_fields_do_not_run_into_each_other() -> None:
    assert content_hash(record(accession="A", patient=None)) != content_hash(record(accession=None, patient="A"))


def test_an_older_one_never_amends() -> None:
    assert outcome(record(text="Small pleural effusion.", updated_at=SUNDAY), held()) is Outcome.OUTDATED


def test_an_older_one_is_outdated_even_if_it_says_the_same() -> None:
    assert outcome(record(updated_at=SUNDAY), held()) is Outcome.OUTDATED


def test_an_older_one_is_outdated_rather_than_quarantined() -> None:
    assert outcome(record(updated_at=SUNDAY, text="x"), held(), Identifier.EMAIL) is Outcome.OUTDATED


def test_at_the_same_time_another_text_amends() -> None:
    assert outcome(record(text="Small pleural effusion."), held()) is Outcome.AMENDED


@pytest.mark.parametrize(("sent", "kept"), [(None, MONDAY), (MONDAY, None), (None, None)])
def test_where_a_time_is_missing_another_text_amends(sent: datetime | None, kept: datetime | None) -> None:
    current = held(source_updated_at=kept)
    assert outcome(record(text="Small pleural effusion.", updated_at=sent), current) is Outcome.AMENDED
    assert outcome(record(updated_at=sent), current) is Outcome.UNCHANGED


# --- withdrawals


def test_a_withdrawal_withdraws() -> None:
    assert outcome(withdrawal(updated_at=TUESDAY), held()) is Outcome.WITHDRAWN


def test_a_withdrawal_without_time_withdraws() -> None:
    assert outcome(withdrawal(updated_at=None), held()) is Outcome.WITHDRAWN


def test_a_withdrawal_at_the_same_time_withdraws() -> None:
    assert outcome(withdrawal(), held()) is Outcome.WITHDRAWN


def test_an_older_withdrawal_does_not_withdraw_what_came_after() -> None:
    assert outcome(withdrawal(updated_at=SUNDAY), held()) is Outcome.OUTDATED


def test_a_second_withdrawal_changes_nothing() -> None:
    assert outcome(withdrawal(updated_at=TUESDAY), held(withdrawn=True)) is Outcome.UNCHANGED


def test_a_deletion_of_what_we_never_saw_is_skipped() -> None:
    assert decision(withdrawal(code=None), None) == Decision(Outcome.SKIPPED, UNKNOWN_DELETION)


def test_a_deletion_of_what_is_in_quarantine_is_kept_as_withdrawn() -> None:
    sent = withdrawal(code=None)
    found = decide(sent, new_hash=content_hash(sent), current=None, identifiers=(), in_quarantine=True)
    assert found == Decision(Outcome.WITHDRAWN)


def test_an_unseen_report_of_a_wanted_code_that_was_entered_in_error_is_kept_as_withdrawn() -> None:
    assert outcome(withdrawal(), None) is Outcome.WITHDRAWN


def test_a_copy_from_before_such_a_tombstone_is_outdated() -> None:
    tombstone = held(withdrawal(), withdrawn=True)
    assert outcome(record(updated_at=SUNDAY), tombstone) is Outcome.OUTDATED
    assert outcome(record(updated_at=MONDAY), tombstone) is Outcome.OUTDATED


def test_a_copy_from_after_such_a_tombstone_reinstates() -> None:
    assert outcome(record(updated_at=TUESDAY), held(withdrawal(), withdrawn=True)) is Outcome.REINSTATED


# --- coming back


def test_said_again_after_the_withdrawal_it_comes_back() -> None:
    gone = held(withdrawn=True)
    assert outcome(record(updated_at=TUESDAY), gone) is Outcome.REINSTATED
    assert outcome(record(updated_at=TUESDAY, text="Small pleural effusion."), gone) is Outcome.REINSTATED


def test_a_file_that_is_read_again_does_not_bring_it_back() -> None:
    assert outcome(record(), held(withdrawn=True, source_updated_at=TUESDAY)) is Outcome.OUTDATED


def test_a_file_that_is_read_again_does_not_bring_back_what_was_deleted_without_a_time() -> None:
    # The deletion named no time, so the report still carries the time of the file.
    assert outcome(record(), held(withdrawn=True)) is Outcome.UNCHANGED
    assert outcome(record(text="Small pleural effusion."), held(withdrawn=True)) is Outcome.OUTDATED


def test_without_times_the_same_text_does_not_come_back() -> None:
    gone = held(withdrawn=True, source_updated_at=None)
    assert outcome(record(updated_at=None), gone) is Outcome.UNCHANGED
    assert outcome(record(), gone) is Outcome.UNCHANGED


def test_without_times_another_text_comes_back() -> None:
    gone = held(withdrawn=True, source_updated_at=None)
    assert outcome(record(updated_at=None, text="Small pleural effusion."), gone) is Outcome.REINSTATED


# --- the guard


def test_a_new_report_with_identifying_data_is_quarantined_with_all_its_kinds() -> None:
    found = decision(record(), None, Identifier.PHONE_NUMBER, Identifier.EMAIL)
    assert found == Decision(Outcome.QUARANTINED, "identifying-data", ("phone-number", "e-mail"))


def test_an_amendment_with_identifying_data_is_quarantined() -> None:
    sent = record(text="Call 010-1234-5678.", updated_at=TUESDAY)
    assert outcome(sent, held(), Identifier.PHONE_NUMBER) is Outcome.QUARANTINED


def test_a_report_that_comes_back_with_identifying_data_is_quarantined() -> None:
    assert outcome(record(updated_at=TUESDAY), held(withdrawn=True), Identifier.EMAIL) is Outcome.QUARANTINED


def test_what_we_hold_already_is_not_quarantined_when_the_guard_learns_more() -> None:
    assert outcome(record(), held(), Identifier.EMAIL) is Outcome.UNCHANGED


# --- whatever is sent

TIMES = st.sampled_from([None, SUNDAY, MONDAY, TUESDAY])
RECORDS = st.builds(
    lambda withdrawn, text, updated_at, code: record(
        withdrawn=withdrawn, text=None if withdrawn else text, updated_at=updated_at, code=code
    ),
    st.booleans(),
    st.sampled_from(["No nodule.", "결절 없음."]),
    TIMES,
    st.sampled_from(["24627-2", None]),
)
CURRENTS = st.none() | st.builds(
    lambda as_sent, withdrawn, time: held(as_sent, withdrawn=withdrawn or as_sent.withdrawn, source_updated_at=time),
    RECORDS,
    st.booleans(),
    TIMES,
)
IDENTIFIERS = st.sampled_from([(), (Identifier.EMAIL,)])


@given(RECORDS, CURRENTS, IDENTIFIERS)
def test_only_what_is_not_older_changes_anything(
    sent: Record, current: Current | None, identifiers: tuple[Identifier, ...]
) -> None:
    found = outcome(sent, current, *identifiers)
    older = current and current.source_updated_at and sent.updated_at and sent.updated_at < current.source_updated_at
    if older:
        assert found is Outcome.OUTDATED
    if found in {Outcome.NEW, Outcome.AMENDED, Outcome.REINSTATED}:
        assert sent.text is not None
        assert not identifiers
    if found is Outcome.REINSTATED:
        assert current is not None
        assert current.withdrawn
    if found is Outcome.AMENDED:
        assert current is not None
        assert not current.withdrawn


@given(RECORDS, CURRENTS)
def test_taken_in_and_sent_again_it_changes_nothing(sent: Record, current: Current | None) -> None:
    found = outcome(sent, current)
    version = current.version if current else 0
    if found in {Outcome.NEW, Outcome.AMENDED, Outcome.REINSTATED} or (found is Outcome.WITHDRAWN and not current):
        current = Current(version + 1, content_hash(sent), sent.updated_at, sent.withdrawn)
    elif found is Outcome.WITHDRAWN and current:
        current = dataclasses.replace(
            current, withdrawn=True, source_updated_at=sent.updated_at or current.source_updated_at
        )
    else:
        return
    assert outcome(sent, current) is Outcome.UNCHANGED
