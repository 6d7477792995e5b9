"""One FHIR DiagnosticReport as a record: what it takes from where, and what it cannot read."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from feed_files import ids
from fhir_on_disk import ANYTHING, LIMIT, LOINC, Json, form, reasons, report

from pipeline.feeds.fhir_report import read_deletions, read_report
from pipeline.feeds.fhir_time import instant
from pipeline.feeds.record import Item, Reason, Record, Skipped, SkipReason, Unreadable, Wants
from pipeline.feeds.report_text import content_type, from_html


def one(resource: object, *, wants: Wants = ANYTHING, max_text_bytes: int = LIMIT) -> Item:
    return read_report("f.ndjson:1", resource, wants=wants, max_text_bytes=max_text_bytes)


def reason(resource: object, **how: Any) -> str:
    item = one(resource, **how)
    assert isinstance(item, Unreadable | Skipped), item
    return item.reason


def text(resource: object) -> str:
    item = one(resource)
    assert isinstance(item, Record), item
    assert item.text is not None
    return item.text


def test_a_report_as_a_record() -> None:
    acsn = {"type": {"coding": [{"code": "ACSN"}]}, "value": "A-17"}
    item = one(
        report(
            text="우측 흉수.\r\nNo nodule.",
            identifier=[{"value": "no accession"}, acsn],
            subject={"reference": "Patient/p9"},
            effectiveDateTime="2024-02-28T08:00:00+09:00",
            issued="2024-02-28T10:00:00+09:00",
        )
    )
    assert item == Record(
        place="f.ndjson:1",
        source_id="r1",
        updated_at=datetime(2024, 2, 29, 17, tzinfo=UTC),
        withdrawn=False,
        text="우측 흉수.\nNo nodule.",
        accession="A-17",
        patient="Patient/p9",
        study_at=datetime(2024, 2, 27, 23, tzinfo=UTC),
        issued_at=datetime(2024, 2, 28, 1, tzinfo=UTC),
        code="24627-2",
        modality="RAD",
    )


def test_issued_stands_in_for_last_updated_and_period_for_date_time() -> None:
    item = one(report(meta=None, issued="2024-02-28T10:00:00Z", effectivePeriod={"start": "2024-02"}))
    assert isinstance(item, Record)
    assert item.updated_at == datetime(2024, 2, 28, 10, tzinfo=UTC)
    assert item.study_at == datetime(2024, 2, 1, tzinfo=UTC)
    undated = one(report(meta=None))
    assert isinstance(undated, Record)
    assert undated.updated_at is None


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("2023", datetime(2023, 1, 1, tzinfo=UTC)),
        ("2023-05", datetime(2023, 5, 1, tzinfo=UTC)),
        ("2023-05-06", datetime(2023, 5, 6, tzinfo=UTC)),
        ("2023-05-06T07:08:09", datetime(2023, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2023-05-06T07:08:09.123456789Z", datetime(2023, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2023-02-30", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("2023-05-06T07:08:09+99:99", None),
        ("20230506", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_fhir_times(written: str | None, read_as: datetime | None) -> None:
    assert instant(written) == read_as


def test_the_conclusion_stands_in_where_no_form_carries_anything() -> None:
    assert text(report(presentedForm=None, conclusion="Emphysema.")) == "Emphysema."
    assert text(report(presentedForm=[{"title": "report"}], conclusion="Emphysema.")) == "Emphysema."
    assert text(report(text="The whole report.", conclusion="Emphysema.")) == "The whole report."


def test_a_conclusion_does_not_hide_that_the_report_is_elsewhere() -> None:
    by_url = [{"contentType": "text/plain", "url": "Binary/1"}]
    assert reason(report(presentedForm=by_url)) == Reason.ATTACHMENT_BY_URL
    assert reason(report(presentedForm=by_url, conclusion="Emphysema.")) == Reason.ATTACHMENT_BY_URL
    pdf = form(b"%PDF-1.7", "application/pdf")
    assert reason(report(presentedForm=[pdf])) == Reason.UNSUPPORTED_CONTENT_TYPE
    assert text(report(presentedForm=[pdf, *by_url, form("Emphysema.")])) == "Emphysema."


def test_several_forms() -> None:
    html = form("<p>Emphysema.</p>", "text/html")
    assert text(report(presentedForm=[html, form("Emphysema.")])) == "Emphysema."
    assert text(report(presentedForm=[html])) == "Emphysema."
    twice = [form("Emphysema."), form("Addendum: none."), form("Emphysema.")]
    assert text(report(presentedForm=twice)) == "Emphysema.\n\nAddendum: none."
    half = [form("Emphysema."), {"contentType": "text/plain", "data": "%%%"}]
    assert reason(report(presentedForm=half)) == Reason.BAD_BASE64


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("EUC-KR", "euc-kr"),
        ('"euc-kr"', "cp949"),
        ("cp949", "cp949"),
        ("KS_C_5601-1987", "cp949"),
        ("utf8", "utf-8"),
    ],
)
def test_declared_charsets(charset: str, codec: str) -> None:
    # 뷁 exists only in the superset
    written = "우하엽에 결절" if codec == "euc-kr" else "우하엽에 뷁 결절"
    assert text(report(presentedForm=[form(written.encode(codec), f"text/plain; charset={charset}")])) == written


def test_latin_1_is_honoured_when_declared_and_refused_when_not() -> None:
    raw = "Größe 1 cm".encode("latin-1")
    assert text(report(presentedForm=[form(raw, "text/plain;charset=ISO-8859-1")])) == "Größe 1 cm"
    assert reason(report(presentedForm=[form(raw)])) == Reason.INVALID_UTF_8
    no_korean = form(b"1 cm \xff", "text/plain; charset=euc-kr")
    assert reason(report(presentedForm=[no_korean])) == Reason.INVALID_CHARSET
    assert reason(report(presentedForm=[form(raw, "text/plain; charset=rot13")])) == Reason.UNSUPPORTED_CHARSET


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        ([], Reason.WRONG_TYPE),
        ("text", Reason.WRONG_TYPE),
        (None, Reason.WRONG_TYPE),
        ({"resourceType": "Patient", "id": "p"}, Reason.WRONG_TYPE),
        (report(presentedForm={"data": 7}), Reason.WRONG_TYPE),
        (report(presentedForm=["text"]), Reason.WRONG_TYPE),
        (report(presentedForm=None, conclusion=["Emphysema."]), Reason.WRONG_TYPE),
        (report(category="CT"), Reason.WRONG_TYPE),
        (report(source_id=None), Reason.MISSING_ID),
        (report(source_id=""), Reason.MISSING_ID),
        (report(source_id="a\0b"), Reason.BAD_ID),
        (report(source_id="\ud800"), Reason.BAD_ID),
        (report(source_id="x" * 201), Reason.BAD_ID),
        (report(status=None), Reason.BAD_STATUS),
        (report(status="done"), Reason.BAD_STATUS),
        (report(presentedForm=[{"contentType": "text/plain", "data": "Tm8="[:-2]}]), Reason.BAD_BASE64),
        (report(presentedForm=[{"contentType": "text/plain", "data": "한글"}]), Reason.BAD_BASE64),
        (report(text=" \n\t"), Reason.EMPTY_TEXT),
        (report(presentedForm=None), Reason.EMPTY_TEXT),
        (report(text="a\0b"), Reason.NUL_BYTE),
        (report(presentedForm=None, conclusion="a\ud800b"), Reason.LONE_SURROGATE),
        (report(subject={"reference": "Patient/\ud800"}), Reason.LONE_SURROGATE),
        (report(subject={"reference": "Patient/\0"}), Reason.NUL_BYTE),
        (report(subject={"reference": "Patient/" + "1" * 300}), Reason.OVERSIZED_FIELD),
        (report(text="가" * (LIMIT // 3 + 1)), Reason.OVERSIZED_TEXT),
    ],
)
def test_what_cannot_be_read_says_why(resource: object, why: Reason) -> None:
    assert reason(resource) == why


def test_an_unreadable_report_keeps_its_id_and_time() -> None:
    item = one(report(text=""))
    assert item == Unreadable("f.ndjson:1", Reason.EMPTY_TEXT, "r1", datetime(2024, 2, 29, 17, tzinfo=UTC))


def test_the_limit_is_in_bytes_and_inclusive() -> None:
    assert isinstance(one(report(text="가나"), max_text_bytes=6), Record)
    assert reason(report(text="가나"), max_text_bytes=5) == Reason.OVERSIZED_TEXT


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_withdrawals_need_and_carry_no_text(status: str) -> None:
    for item in (one(report(status=status)), one(report(status=status, presentedForm=None))):
        assert isinstance(item, Record)
        assert item.withdrawn
        assert item.text is None
        assert item.code == (None if status == "cancelled" else "24627-2")


@pytest.mark.parametrize("status", ["preliminary", "partial", "amended", "corrected", "appended", "unknown"])
def test_statuses_that_carry_a_report(status: str) -> None:
    assert text(report(status=status)) == "No pleural effusion."


def test_wants() -> None:
    chest_ct = Wants(frozenset({f"{LOINC}|24627-2", "36643-5"}), frozenset({"CT"}))
    item = one(report(), wants=chest_ct)
    assert isinstance(item, Record)
    assert (item.code, item.modality) == ("24627-2", "CT")
    other_code = {"coding": [{"system": "urn:local", "code": "24627-2"}, {"code": "30799-1"}]}
    other_modality = [{"coding": [{"code": "ct"}, {"code": "MR"}]}]
    assert reason(report(code=other_code), wants=chest_ct) == SkipReason.OTHER_CODE
    assert reason(report(code={"text": "CT chest"}), wants=chest_ct) == SkipReason.OTHER_CODE
    assert reason(report(category=other_modality), wants=chest_ct) == SkipReason.OTHER_MODALITY
    assert reason(report(status="registered"), wants=chest_ct) == SkipReason.NO_REPORT_YET
    assert reason(report(code=other_code, text="\0"), wants=chest_ct) == SkipReason.OTHER_CODE


def test_an_unwanted_withdrawal_is_skipped_but_a_stripped_one_is_not() -> None:
    chest_ct = Wants(frozenset({"24627-2"}), frozenset({"CT"}))
    brain = {"coding": [{"code": "30799-1"}]}
    assert reason(report(status="entered-in-error", code=brain), wants=chest_ct) == SkipReason.OTHER_CODE
    stripped = one(report(status="entered-in-error", code=None, category=None), wants=chest_ct)
    assert isinstance(stripped, Record)
    assert stripped.withdrawn


def test_html() -> None:
    page = """<html><head><title>no</title></head><body><!-- no --><script>no</script>
        <p title="a > b">Nodule &lt;3&nbsp;mm
        in the  RUL.</p><ul><li>one<LI>two</ul>a<br/>b<pre>x
  y</pre><table><tr><td>1<td>2</table></body></html>"""
    seen = from_html(page)
    assert "no" not in seen.split()
    assert "Nodule <3\xa0mm in the RUL." in seen.split("\n")
    assert [line for line in seen.split("\n") if line][1:] == ["one", "two", "a", "b", "x", "y", "1 2"]
    assert from_html("size < 3 and > 2") == "size < 3 and > 2"


@pytest.mark.parametrize("bomb", ["<a ", "<!", "<!--", "</", "<a b='", "<![a", "<head ", "&#", "<script>"])
def test_html_takes_linear_time(bomb: str) -> None:
    started = time.perf_counter()
    from_html(bomb * 100_000)
    assert time.perf_counter() - started < 15  # seconds, on a busy machine too; quadratic time would be hours


def test_content_types() -> None:
    assert content_type("Text/HTML ; Charset = 'EUC-KR' ; x=y") == ("text/html", "euc-kr")
    assert content_type("\udcff\n; charset=\u0130")[0] == "\udcff"
    assert content_type("") == ("", "utf-8")


def test_deletions() -> None:
    def entry(url: object, method: str = "DELETE") -> Json:
        return {"request": {"method": method, "url": url}}

    bundle = {
        "resourceType": "Bundle",
        "timestamp": "2024-03-02T00:00:00Z",
        "entry": [
            entry("DiagnosticReport/a"),
            entry("Patient/b"),
            entry("https://fhir.example/DiagnosticReport/c"),
            entry("DiagnosticReport/d", "PUT"),
            entry(7),
            {},
        ],
    }
    items = list(read_deletions("deleted/f.ndjson:1", bundle))
    assert ids(list(items)) == ["a", "c"]
    assert reasons(list(items)) == [Reason.WRONG_TYPE]
    first = items[0]
    assert isinstance(first, Record)
    assert first.withdrawn
    assert first.updated_at == datetime(2024, 3, 2, tzinfo=UTC)
    assert [item.place for item in items][1] == "deleted/f.ndjson:1 entry 3"
    assert reasons(list(read_deletions("x", report()))) == [Reason.WRONG_TYPE]
