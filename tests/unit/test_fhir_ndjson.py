"""The FHIR Bulk NDJSON reader: every line is accounted for, nothing raises, and a growing folder is read
on.
"""

import base64
import gzip
import json
import os
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import feeds
from pipeline.feeds.fhir_ndjson import FhirNdjson
from pipeline.feeds.fhir_report import read_deletions, read_report
from pipeline.feeds.fhir_time import instant
from pipeline.feeds.record import FeedFolderMissing, Item, Reason, Record, Skipped, SkipReason, Unreadable, Wants
from pipeline.feeds.report_text import content_type, from_html
from pipeline.settings import FeedSettings

REAL = Path(__file__).parents[3] / "shared" / "data" / "fhir"
ANYTHING = Wants()
LIMIT = 1_000_000
LOINC = "http://loinc.org"
V2_0074 = "http://terminology.hl7.org/CodeSystem/v2-0074"

Json = dict[str, Any]


def form(text: str | bytes, kind: str = "text/plain") -> Json:
    raw = text.encode() if isinstance(text, str) else text
    return {"contentType": kind, "data": base64.b64encode(raw).decode()}


def report(source_id: str | None = "r1", text: str = "No pleural effusion.", **changes: Any) -> Json:
    resource = {
        "resourceType": "DiagnosticReport",
        "id": source_id,
        "meta": {"lastUpdated": "2024-03-01T02:00:00+09:00"},
        "status": "final",
        "category": [{"coding": [{"system": V2_0074, "code": "RAD"}, {"system": V2_0074, "code": "CT"}]}],
        "code": {"coding": [{"system": LOINC, "code": "24627-2"}]},
        "presentedForm": [form(text)],
        **changes,
    }
    return {name: value for name, value in resource.items() if value is not None}


def deletions(*source_ids: str) -> Json:
    requests = [{"method": "DELETE", "url": f"DiagnosticReport/{source_id}"} for source_id in source_ids]
    return {"resourceType": "Bundle", "entry": [{"request": request} for request in requests]}


def line(**changes: Any) -> bytes:
    return json.dumps(report(**changes), ensure_ascii=False).encode() + b"\n"


def write(folder: Path, name: str, content: bytes, *, age: float = 60) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - age,) * 2)
    return path


def append(path: Path, content: bytes, *, age: float = 60) -> None:
    with path.open("ab") as file:
        file.write(content)
    os.utime(path, (time.time() - age,) * 2)


def read(
    folder: Path, cursor: Json | None = None, *, wants: Wants = ANYTHING, **limits: int
) -> tuple[list[Item], Json]:
    reader = FhirNdjson(folder, cursor or {}, wants=wants, **{"max_text_bytes": LIMIT, **limits})
    items = list(reader)
    return items, json.loads(json.dumps(reader.cursor()))


def ids(items: list[Item]) -> list[str]:
    return [item.source_id for item in items if isinstance(item, Record)]


def reasons(items: list[Item]) -> list[str]:
    return [item.reason for item in items if isinstance(item, Unreadable)]


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


# --- one report


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
    assert time.perf_counter() - started < 3


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


# --- files


def test_a_missing_folder_names_itself_and_the_setting(tmp_path: Path) -> None:
    with pytest.raises(FeedFolderMissing, match=r"feed.*gone.*`path`"):
        FhirNdjson(tmp_path / "gone", {}, wants=ANYTHING, max_text_bytes=LIMIT)
    with pytest.raises(FeedFolderMissing):
        FhirNdjson(write(tmp_path, "file", b""), {}, wants=ANYTHING, max_text_bytes=LIMIT)


def test_the_reader_is_found_by_its_kind(tmp_path: Path) -> None:
    write(tmp_path, "a.ndjson", line())
    feed = FeedSettings(path=tmp_path, site="seoul", codes=frozenset({"24627-2"}))
    found = feeds.reader(feed, {}, max_text_bytes=LIMIT, zone=ZoneInfo("Asia/Seoul"))
    assert isinstance(found, FhirNdjson)
    assert ids(list(found)) == ["r1"]


def test_which_files_are_read_and_in_which_order(tmp_path: Path) -> None:
    write(tmp_path, "DiagnosticReport.000.ndjson", line(source_id="a"))
    write(tmp_path, "2024/b/DiagnosticReport.ndjson.gz", gzip.compress(line(source_id="b")))
    write(tmp_path, "export.NDJSON", line(source_id="c"))
    write(tmp_path, "PatientReports.ndjson", line(source_id="d"))  # "PatientReports" is no resource type
    deletion = deletions("a")
    write(tmp_path, "2024/deleted/Bundle.000.ndjson", json.dumps(deletion).encode())
    for left_alone in (
        "Patient.000.ndjson", "Observation.ndjson", "OperationOutcome_1.ndjson.gz", ".hidden.ndjson",
        ".snapshot/DiagnosticReport.ndjson", "DiagnosticReport.ndjson.tmp", "DiagnosticReport.ndjson.part",
        "a.json",
    ):  # fmt: skip
        write(tmp_path, left_alone, b"broken\n")
    os.mkfifo(tmp_path / "pipe.ndjson")
    items, _ = read(tmp_path)
    assert [(item.place, item.source_id) for item in items if isinstance(item, Record)] == [
        ("DiagnosticReport.000.ndjson:1", "a"),
        ("PatientReports.ndjson:1", "d"),
        ("export.NDJSON:1", "c"),
        ("2024/b/DiagnosticReport.ndjson.gz:1", "b"),
        ("2024/deleted/Bundle.000.ndjson:1 entry 1", "a"),
    ]
    assert len(items) == 5


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_lines_of_every_kind_have_their_place(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    lines = [
        b"\xef\xbb\xbf" + line(source_id="a").replace(b"\n", b"\r\n"),
        b"\n",
        b" \t\r\n",
        b"{broken\n",
        line(source_id="b\xff").replace("ÿ".encode(), b"\xff"),
        b'{"resourceType": "Diag\0nosticReport"}\n',
        b"[" * 100_000 + b"\n",
        b"9" * 5_000 + b"\n",
        b"x" * 30_000 + b"\n",
        json.dumps({"resourceType": "Patient"}).encode() + b"\n",
        line(source_id="c"),
    ]
    write(tmp_path, "f.ndjson" + ".gz" * (packed is gzip.compress), packed(b"".join(lines)))
    items, cursor = read(tmp_path, max_line_bytes=20_000)
    assert [(item.place.partition(":")[2], getattr(item, "reason", None)) for item in items] == [
        ("1", None),
        ("4", Reason.BROKEN_JSON),
        ("5", Reason.INVALID_UTF_8),
        ("6", Reason.NUL_BYTE),
        ("7", Reason.OVERSIZED_LINE),
        ("8", Reason.BROKEN_JSON),
        ("9", Reason.OVERSIZED_LINE),
        ("10", Reason.WRONG_TYPE),
        ("11", None),
    ]
    assert read(tmp_path, cursor) == ([], cursor)


def test_deep_nesting_is_broken_json(tmp_path: Path) -> None:
    write(tmp_path, "f.ndjson", b"[" * 100_000 + b"\n" + line())
    items, _ = read(tmp_path)
    assert reasons(items) == [Reason.BROKEN_JSON]
    assert ids(items) == ["r1"]


# --- growing


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_appended_lines_are_read_from_where_it_stopped(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    path = write(tmp_path, "f.ndjson" + ".gz" * (packed is gzip.compress), packed(line(source_id="a") * 3))
    _, cursor = read(tmp_path)
    append(path, packed(line(source_id="b")))
    items, cursor = read(tmp_path, cursor)
    assert ids(items) == ["b"]
    assert items[0].place.endswith(":4")
    assert read(tmp_path, cursor)[0] == []


def test_a_rewritten_file_is_read_again(tmp_path: Path) -> None:
    path = write(tmp_path, "f.ndjson", line(source_id="a") + line(source_id="b"))
    _, cursor = read(tmp_path)
    write(tmp_path, "f.ndjson", line(source_id="a"), age=50)  # truncated
    items, cursor = read(tmp_path, cursor)
    assert ids(items) == ["a"]
    write(tmp_path, "f.ndjson", line(source_id="z"), age=40)  # as long as before
    items, cursor = read(tmp_path, cursor)
    assert ids(items) == ["z"]
    write(tmp_path, "f.ndjson", line(source_id="y") + line(source_id="x"), age=30)  # longer, another head
    items, cursor = read(tmp_path, cursor)
    assert ids(items) == ["y", "x"]
    # longer, the same at both ends of what was read, but another file: an export renamed into place
    write(tmp_path, "new", line(source_id="y") + line(source_id="x") + line(source_id="w"), age=20).replace(path)
    items, cursor = read(tmp_path, cursor)
    assert ids(items) == ["y", "x", "w"]
    assert read(tmp_path, cursor)[0] == []


def test_a_touched_mode_or_a_restored_backup_is_not_read_again(tmp_path: Path) -> None:
    path = write(tmp_path, "f.ndjson", line())
    _, cursor = read(tmp_path)
    path.chmod(0o600)
    status = path.stat()
    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes())
    copy.replace(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert read(tmp_path, cursor)[0] == []


def test_stopping_anywhere_and_going_on_gives_every_item_once(tmp_path: Path) -> None:
    write(tmp_path, "a.ndjson", b"".join(line(source_id=f"a{n}") for n in range(5)) + b"\n\nbroken\n")
    write(tmp_path, "b.ndjson.gz", gzip.compress(b"".join(line(source_id=f"b{n}") for n in range(5))))
    whole, _ = read(tmp_path)
    cursor: Json = {}
    items: list[Item] = []
    while True:
        reader = FhirNdjson(tmp_path, cursor, wants=ANYTHING, max_text_bytes=LIMIT)
        first = next(iter(reader), None)
        cursor = json.loads(json.dumps(reader.cursor()))
        if first is None:
            break
        items.append(first)
    assert items == whole
    assert len(items) == 11


def test_the_cursor_beside_each_item_stands_behind_it(tmp_path: Path) -> None:
    deletion = deletions("0", "1", "2")
    write(tmp_path, "a.ndjson", b"".join(line(source_id=f"a{n}") for n in range(3)))
    write(tmp_path, "deleted/b.ndjson", json.dumps(deletion).encode() + b"\n" + json.dumps(deletion).encode())
    reader = FhirNdjson(tmp_path, {}, wants=ANYTHING, max_text_bytes=LIMIT)
    items: list[Item] = []
    cursors: list[Json] = []
    for item in reader:
        items.append(item)
        cursors.append(json.loads(json.dumps(reader.cursor())))
    for number, cursor in enumerate(cursors, 1):
        rest, _ = read(tmp_path, cursor)
        missing = items[number:]
        assert rest[len(rest) - len(missing) :] == missing
        if number <= 3:  # a Bundle's entries are repeated from its first one
            assert rest == missing


def test_a_half_written_last_line_is_left_until_it_is_whole(tmp_path: Path) -> None:
    whole = line(source_id="b")
    path = write(tmp_path, "f.ndjson", line(source_id="a") + whole[:40], age=0)
    items, cursor = read(tmp_path)
    assert ids(items) == ["a"]
    assert len(items) == 1
    append(path, whole[40:], age=0)
    items, cursor = read(tmp_path, cursor)
    assert [(item.place) for item in items] == ["f.ndjson:2"]
    assert ids(items) == ["b"]
    assert read(tmp_path, cursor)[0] == []


def test_a_half_line_that_rests_is_quarantined_once_and_read_again_when_it_grows(tmp_path: Path) -> None:
    whole = line(source_id="b")
    path = write(tmp_path, "f.ndjson", whole[:40], age=0)
    items, cursor = read(tmp_path)
    assert items == []
    items, cursor = read(tmp_path, cursor)  # the same at the second look
    assert reasons(items) == [Reason.BROKEN_JSON]
    items, cursor = read(tmp_path, cursor)
    assert items == []
    append(path, whole[40:])
    items, cursor = read(tmp_path, cursor)
    assert ids(items) == ["b"]
    assert len(items) == 1

    write(tmp_path, "old.ndjson", whole[:40], age=11)  # quiet at the first look
    assert reasons(read(tmp_path, cursor)[0]) == [Reason.BROKEN_JSON]


def test_a_last_line_without_line_end_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    path = write(tmp_path, "f.ndjson", line(source_id="a").rstrip(), age=0)
    items, cursor = read(tmp_path)
    assert ids(items) == ["a"]
    append(path, b"\n" + line(source_id="b"), age=0)
    assert ids(read(tmp_path, cursor)[0]) == ["b"]
    write(tmp_path, "number.ndjson", b"12", age=0)  # JSON, but it may become 123
    assert reasons(read(tmp_path, cursor)[0]) == []


def test_a_truncated_gzip_gives_what_it_holds_and_is_retried_when_it_changes(tmp_path: Path) -> None:
    lines = [line(source_id=f"r{n}", text=os.urandom(2_000).hex()) for n in range(20)]
    packed = gzip.compress(b"".join(lines))
    path = write(tmp_path, "f.ndjson.gz", packed[: len(packed) // 2])
    items, cursor = read(tmp_path)
    some = len(ids(items))
    assert 5 < some < 15
    assert items[-1] == Unreadable(f"f.ndjson.gz:{some + 1}", Reason.BROKEN_GZIP)
    assert read(tmp_path, cursor)[0] == []
    append(path, packed[len(packed) // 2 :])
    items, cursor = read(tmp_path, cursor)
    assert ids(items) == [f"r{n}" for n in range(some, 20)]
    write(tmp_path, "g.ndjson.gz", packed[:-3], age=0)  # perhaps still being copied
    assert reasons(read(tmp_path, cursor)[0]) == []


def test_what_is_no_gzip_or_is_damaged_is_one_row(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b"".join(line(source_id=f"r{n}") for n in range(50)), compresslevel=0))
    packed[-6] ^= 1  # the checksum
    write(tmp_path, "a.ndjson.gz", b"not gzip")
    write(tmp_path, "b.ndjson.gz", bytes(packed))
    write(tmp_path, "c.ndjson", line(source_id="c"))
    items, _ = read(tmp_path)
    assert reasons(items) == [Reason.BROKEN_GZIP] * 2
    assert ids(items)[-1] == "c"
    assert len(ids(items)) == 51


def test_a_file_that_cannot_be_opened_is_one_row_and_others_go_on(tmp_path: Path) -> None:
    loop = tmp_path / "a.ndjson"
    loop.symlink_to(loop)  # unreadable for root as well
    (tmp_path / "b.ndjson").symlink_to(tmp_path / "nowhere")
    write(tmp_path, "c.ndjson", line(source_id="c"))
    items, cursor = read(tmp_path)
    assert items[:2] == [
        Unreadable("a.ndjson", Reason.UNREADABLE_FILE),
        Unreadable("b.ndjson", Reason.UNREADABLE_FILE),
    ]
    assert ids(items) == ["c"]
    assert read(tmp_path, cursor)[0] == []  # said once
    loop.unlink()
    write(tmp_path, "a.ndjson", line(source_id="a"))
    assert ids(read(tmp_path, cursor)[0]) == ["a"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_without_permission(tmp_path: Path) -> None:
    path = write(tmp_path, "a.ndjson", line())
    path.chmod(0)
    closed = write(tmp_path, "closed/b.ndjson", line()).parent
    closed.chmod(0)
    items, cursor = read(tmp_path)
    path.chmod(0o600)
    closed.chmod(0o700)
    assert reasons(items) == [Reason.UNREADABLE_FILE] * 2
    assert ids(read(tmp_path, cursor)[0]) == ["r1", "r1"]


def test_deletions_follow_again_when_data_is_read_again(tmp_path: Path) -> None:
    deletion = deletions("a")
    write(tmp_path, "z.ndjson", line(source_id="a"))
    write(tmp_path, "deleted/Bundle.ndjson", json.dumps(deletion).encode() + b"\n")
    items, cursor = read(tmp_path)
    assert [item.withdrawn for item in items if isinstance(item, Record)] == [False, True]
    write(tmp_path, "z.ndjson", line(source_id="a") + line(source_id="b"), age=5)
    (tmp_path / "z.ndjson").replace(tmp_path / "y")
    write(tmp_path, "z.ndjson", (tmp_path / "y").read_bytes(), age=5)
    reader = FhirNdjson(tmp_path, cursor, wants=ANYTHING, max_text_bytes=LIMIT)
    for _ in zip(range(2), reader, strict=False):
        pass
    items, cursor = read(tmp_path, json.loads(json.dumps(reader.cursor())))  # the process had ended in between
    assert [item.withdrawn for item in items if isinstance(item, Record)] == [True]
    assert cursor["deletions_due"] is False


def test_files_that_are_gone_leave_the_cursor(tmp_path: Path) -> None:
    path = write(tmp_path, "f.ndjson", line())
    _, cursor = read(tmp_path)
    assert list(cursor["files"]) == ["f.ndjson"]
    path.unlink()
    assert read(tmp_path, cursor)[1]["files"] == {}


def test_the_cursor_holds_no_text(tmp_path: Path) -> None:
    write(tmp_path, "f.ndjson", line(text="marker-word", conclusion="marker-word") + b'{"marker-word')
    assert "marker" not in json.dumps(read(tmp_path)[1])


def test_memory_stays_flat(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "long.ndjson.gz", "wb", compresslevel=1) as file:
        for _ in range(24):
            file.write(b"x" * (1 << 20))
        file.write(b"\n" + line())
    with (tmp_path / "many.ndjson").open("wb") as plain:
        plain.writelines(line(source_id=f"r{n}") for n in range(8_000))
    tracemalloc.start()
    reader = FhirNdjson(tmp_path, {}, wants=ANYTHING, max_text_bytes=LIMIT, max_line_bytes=1 << 20)
    counts = Counter(type(item) for item in reader)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counts == {Record: 8_001, Unreadable: 1}
    assert peak < 8 << 20


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    "id", "meta", "status", "category", "code", "presentedForm", "conclusion", "identifier", "subject", "issued",
    "effectiveDateTime", "effectivePeriod", "resourceType",
]  # fmt: skip
almost_reports = st.builds(
    lambda changes, shown: {**report(text=shown), **changes},
    st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=3),
    st.text(max_size=20),
)
forms = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "contentType": st.sampled_from(["text/plain", "text/html", "text/plain; charset=euc-kr", "image/png"])
            | st.text(max_size=10),
            "data": st.binary(max_size=30).map(lambda raw: base64.b64encode(raw).decode()) | st.text(max_size=9),
            "url": st.text(max_size=5),
        },
    ),
    max_size=3,
)
lines = st.one_of(
    st.just(b""),
    st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"")),
    json_values.map(lambda value: json.dumps(value).encode()),
    almost_reports.map(lambda value: json.dumps(value).encode()),
    forms.map(lambda value: json.dumps(report(presentedForm=value)).encode()),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(lines, max_size=8), st.booleans(), st.booleans())
def test_every_line_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, content: list[bytes], packed: bool, ended: bool
) -> None:
    folder = tmp_path_factory.mktemp("feed")
    joined = b"\n".join(content) + b"\n" * ended
    write(folder, "f.ndjson" + ".gz" * packed, gzip.compress(joined) if packed else joined)
    items, cursor = read(folder, max_text_bytes=15, max_line_bytes=2_000)
    blank = sum(not one_line.removeprefix(b"\xef\xbb\xbf" * (n == 0)).strip() for n, one_line in enumerate(content))
    assert len(items) == len(content) - blank
    for item in items:
        json.dumps([str(item)]).encode()
        if isinstance(item, Record) and not item.withdrawn:
            assert item.text is not None
            assert 0 < len(item.text.encode()) <= 15
            assert "\0" not in item.text
    assert read(folder, cursor, max_text_bytes=15, max_line_bytes=2_000)[0] == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 400), max_size=12))
def test_a_file_that_grows_by_any_steps_gives_every_report_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("feed")
    content = b"".join(line(source_id=f"r{n}", text="우측 흉수 " * n) for n in range(1, 6))
    path = write(folder, "f.ndjson", b"")
    cursor: Json = {}
    seen: list[str] = []
    position = 0
    for step in [*steps, len(content)]:
        if position >= len(content):
            break
        append(path, content[position : position + step], age=0)
        position += step
        items, cursor = read(folder, cursor)
        seen += ids(items)
        assert reasons(items) == []
    assert seen == [f"r{n}" for n in range(1, 6)]


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data is not here")
def test_real_resources(tmp_path: Path) -> None:
    for name in ("dxreport.ndjson", "tests_data_simple_input_DiagnosticReport.ndjson", "docref.ndjson"):
        write(tmp_path, name, (REAL / "cumulus" / name).read_bytes())
    stub = json.loads((REAL / "cumulus" / "tests_data_deid_input_DiagnosticReport.json").read_bytes())
    write(tmp_path, "stub.ndjson", json.dumps(stub).encode())
    r3 = json.loads((REAL / "monai" / "3.0.2_STU3_DiagnosticReport.json").read_bytes())
    write(tmp_path, "r3.ndjson", json.dumps(r3).encode())
    items, _ = read(tmp_path)
    by_file: dict[str, list[Item]] = {}
    for item in items:
        by_file.setdefault(item.place.partition(":")[0], []).append(item)
    assert all(isinstance(item, Record) for item in by_file["dxreport.ndjson"])
    assert "# Chief Complaint" in (by_file["dxreport.ndjson"][0].text or "")  # type: ignore[union-attr]
    assert set(reasons(by_file["docref.ndjson"])) == {Reason.WRONG_TYPE}
    assert reasons(by_file["stub.ndjson"]) == [Reason.MISSING_ID]
    haematology = by_file["r3.ndjson"][0]
    assert isinstance(haematology, Record)
    assert (haematology.text, haematology.modality) == ("Core lab", "252275004")
    texts = {r.source_id: r.text for r in items if isinstance(r, Record)}
    assert texts["ultrasound"] == "Notes for fever"
    assert texts["f201"] == "Notes! for fever"
