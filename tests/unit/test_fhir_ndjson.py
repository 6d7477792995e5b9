"""The FHIR Bulk NDJSON reader: every line of every file is accounted for, and nothing raises."""

import base64
import gzip
import json
import os
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from feed_files import ids, write
from fhir_on_disk import ANYTHING, LIMIT, deletions, line, read, reasons, report
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import feeds
from pipeline.feeds.fhir_ndjson import FhirNdjson
from pipeline.feeds.record import FeedFolderMissing, Item, Reason, Record, Unreadable
from pipeline.settings import FeedSettings

REAL = Path(__file__).parents[3] / "shared" / "data" / "fhir"


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
