"""A folder of FHIR Bulk NDJSON that grows and changes: it is read on from where it stopped, and nothing twice."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from feed_files import append, ids, one_at_a_time, write
from fhir_on_disk import ANYTHING, LIMIT, Json, deletions, line, read, reasons
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.feeds.fhir_ndjson import FhirNdjson
from pipeline.feeds.record import Item, Reason, Record, Unreadable


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
    items = one_at_a_time(lambda cursor: FhirNdjson(tmp_path, cursor, wants=ANYTHING, max_text_bytes=LIMIT))
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
