"""A folder of CSV files: every row is accounted for, and the folder is read on as it grows."""

import csv
import gzip
import io
import json
import os
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from feed_files import append, ids, one_at_a_time, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tables_on_disk import Json, feed, opened, read, reasons, texts

from pipeline.feeds.csv_rows import MOST_LINES, rows
from pipeline.feeds.growing_lines import Line
from pipeline.feeds.record import (
    FeedFolderMissing,
    Item,
    Reason,
    Record,
    Unreadable,
)
from pipeline.settings import InvalidSettings

# --- CSV: what a file may look like


def test_columns_in_any_order_quotes_line_breaks_and_a_byte_order_mark(tmp_path: Path) -> None:
    content = '\ufeff"note", text ,id\r\n1,"우측 흉수, ""소량"".\r\nNo nodule.",r1\r\n\r\n2,Clear.,r2\r\n,,\r\n'
    write(tmp_path, "a.csv", content)
    items, cursor = read(feed(tmp_path))
    assert texts(items) == {"r1": '우측 흉수, "소량".\nNo nodule.', "r2": "Clear."}
    assert [item.place for item in items] == ["a.csv:2", "a.csv:5"]
    assert read(feed(tmp_path), cursor) == ([], cursor)


@pytest.mark.parametrize("encoding", ["cp949", "euc-kr", "utf-8", "utf-8-sig"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    write(tmp_path, "a.csv", "id|text\nr1|우하엽에 결절|\nr2|흉수 없음\n".replace("결절|", "결절").encode(encoding))
    items, _ = read(feed(tmp_path, encoding=encoding, delimiter="|"))
    assert texts(items) == {"r1": "우하엽에 결절", "r2": "흉수 없음"}


def test_euc_kr_is_read_as_its_superset(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "id,text\nr1,뷁\n".encode("cp949"))
    assert texts(read(feed(tmp_path, encoding="euc-kr"))[0]) == {"r1": "뷁"}


def test_bytes_that_are_no_text_cost_their_row_only(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", b'id,text,other\nr1,"a\xff",\nr2,fine,\xff\nr\xff3,x,\nr4,fine,\n')
    items, _ = read(feed(tmp_path))
    assert ids(items) == ["r2", "r4"]
    assert [getattr(item, "source_id", None) for item in items] == ["r1", "r2", None, "r4"]
    assert reasons(items) == [("a.csv:2", Reason.INVALID_UTF_8), ("a.csv:4", Reason.INVALID_UTF_8)]
    items, _ = read(feed(tmp_path, encoding="cp949"))
    assert reasons(items)[0] == ("a.csv:2", Reason.INVALID_CHARSET)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-7", "iso2022_kr", "rot13", "cp037"])
def test_an_encoding_whose_lines_cannot_be_told_is_refused(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(InvalidSettings, match=rf"{encoding}; export it as utf-8"):
        opened(feed(tmp_path, encoding=encoding))


def test_codes_without_a_column_for_them_are_refused(tmp_path: Path) -> None:
    for kind in ("csv", "parquet"):
        with pytest.raises(InvalidSettings, match=r"names no column for them; add columns\.code"):
            opened(feed(tmp_path, kind, codes=["24627-2"]))
        with pytest.raises(InvalidSettings, match=r"columns\.modality"):
            opened(feed(tmp_path, kind, modalities=["CT"]))


def test_which_files_are_read(tmp_path: Path) -> None:
    for name in ("b.csv", "2026/01/a.CSV", ".hidden.csv", ".tmp/c.csv", "d.csv.part", "e.txt"):
        write(tmp_path, name, f"id,text\n{name},x\n")
    write(tmp_path, "c.csv.gz", gzip.compress(b"id,text\nc.csv.gz,x\n"))
    assert ids(read(feed(tmp_path))[0]) == ["b.csv", "c.csv.gz", "2026/01/a.CSV"]


def test_a_missing_folder_says_so(tmp_path: Path) -> None:
    for kind in ("csv", "parquet"):
        with pytest.raises(FeedFolderMissing, match=r"gone.*`path`"):
            opened(feed(tmp_path / "gone", kind))


# --- CSV: what is broken


def test_a_file_without_a_column_is_one_row_until_it_or_the_settings_change(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,report\nr1,first\nr2,second\n")
    write(tmp_path, "b.csv", "id,text\nb1,fine\n")
    items, cursor = read(feed(tmp_path))
    assert reasons(items) == [("a.csv", "missing-column:text")]
    assert ids(items) == ["b1"]
    assert read(feed(tmp_path), cursor) == ([], cursor)
    assert ids(read(feed(tmp_path, columns={"text": "report"}), cursor)[0]) == ["r1", "r2"]
    append(path, "r3,third\n")
    assert reasons(read(feed(tmp_path), cursor)[0]) == [("a.csv", "missing-column:text")]
    write(tmp_path, "new", "id,text\nr1,first\n").replace(path)
    assert ids(read(feed(tmp_path), cursor)[0]) == ["r1"]


def test_a_file_that_turns_out_to_lack_a_column_goes_on_where_it_was(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,text,seen\nr1,first,2026-01-02\n")
    _, cursor = read(feed(tmp_path))
    append(path, "r2,second,2026-01-03\n")
    items, cursor = read(feed(tmp_path, columns={"study_at": "study"}), cursor)
    assert reasons(items) == [("a.csv", "missing-column:study")]
    assert ids(read(feed(tmp_path, columns={"study_at": "seen"}), cursor)[0]) == ["r2"]


def test_a_column_that_occurs_twice_is_not_guessed_at(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "id,text,text\nr1,a,b\n")
    assert reasons(read(feed(tmp_path))[0]) == [("a.csv", "double-column:text")]


def test_a_header_alone_and_an_empty_file_are_no_trouble(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "id,text\n")
    write(tmp_path, "b.csv", "")
    write(tmp_path, "c.csv", "\n\n")
    items, cursor = read(feed(tmp_path))
    assert items == []
    append(tmp_path / "b.csv", "id,text\nr1,later\n")
    assert ids(read(feed(tmp_path), cursor)[0]) == ["r1"]


def test_rows_of_the_wrong_length(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "id,text\nr1,fine\nr2,one, two\nr3\nr4,fine\n")
    items, _ = read(feed(tmp_path))
    assert ids(items) == ["r1", "r4"]
    assert reasons(items) == [("a.csv:3", "wrong-number-of-fields"), ("a.csv:4", "wrong-number-of-fields")]


def test_a_quote_too_many_costs_its_own_report(tmp_path: Path) -> None:
    content = 'id,text\nr1,"fine"\nr2,"never closed\nr3,"fine"\nr4,"a 3" nodule"\nr5,"fine,\ntoo"\n'
    write(tmp_path, "a.csv", content)
    items, cursor = read(feed(tmp_path))
    assert texts(items) == {"r1": "fine", "r3": "fine", "r5": "fine,\ntoo"}
    assert reasons(items) == [("a.csv:3", Reason.BROKEN_CSV), ("a.csv:5", Reason.BROKEN_CSV)]
    assert read(feed(tmp_path), cursor)[0] == []


def test_the_middle_of_a_broken_report_never_becomes_an_id(tmp_path: Path) -> None:
    broken = 'r2,"seen in ""CT"" and "MR":\nno effusion, no pneumothorax\nboth lungs, clear"\n'
    path = write(tmp_path, "a.csv", "id,text\nr1,fine\n" + broken)
    items, cursor = read(feed(tmp_path))
    assert ids(items) == ["r1"]
    assert reasons(items) == [(f"a.csv:{number}", Reason.BROKEN_CSV) for number in (3, 4, 5)]
    append(path, "and a word, more\nr 3,an id of two words comes too soon\nr4,fine\nr 5,fine\n")
    items, _ = read(feed(tmp_path), cursor)  # the cursor knows that it stands in the middle of something
    assert ids(items) == ["r4", "r 5"]
    assert len(reasons(items)) == 2


def test_long_fields_and_rows_are_bounded(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", f'id,text\nr1,{"x" * 300_000}\nr2,"{"x" * 17_000_000}"\nr3,fine\n')
    items, _ = read(feed(tmp_path), max_text_bytes=200_000)
    assert ids(items) == ["r3"]
    assert reasons(items) == [("a.csv:2", Reason.OVERSIZED_TEXT), ("a.csv:3", Reason.OVERSIZED_LINE)]


def test_a_quote_that_swallows_lines_without_end_gives_them_back(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", 'id,text\nr1,"open\n' + "".join(f"x{n},text\n" for n in range(MOST_LINES)))
    items, _ = read(feed(tmp_path))
    assert reasons(items) == [("a.csv:2", Reason.OVERSIZED_LINE)]
    assert len(ids(items)) == MOST_LINES


def test_a_quote_that_stays_open_to_the_end_of_a_quiet_file_costs_its_own_report(tmp_path: Path) -> None:
    content = 'id,text\n1,"Chest CT of an inch mark\n' + "".join(f"{n},No effusion.\n" for n in range(2, 1_001))
    path = write(tmp_path, "a.csv", content, age=0)
    growing, cursor = read(feed(tmp_path))
    assert growing == []  # the quote may still be closed
    append(path, "1001,No effusion.\n", age=0)
    assert read(feed(tmp_path), cursor)[0] == []
    os.utime(path, (time.time() - 60,) * 2)
    items, cursor = read(feed(tmp_path), cursor)
    assert reasons(items) == [("a.csv:2", Reason.BROKEN_CSV)]
    assert ids(items) == [str(n) for n in range(2, 1_002)]
    assert read(feed(tmp_path), cursor)[0] == []
    append(path, "1002,No effusion.\n", age=0)
    assert ids(read(feed(tmp_path), cursor)[0]) == ["1002"]
    assert [opened(feed(tmp_path)).again(f"a.csv:{line}") for line in (2, 3, 1_002)] == [*items[:2], items[-1]]


def test_a_file_that_cannot_be_opened_is_one_row(tmp_path: Path) -> None:
    for kind in ("csv", "parquet"):
        (tmp_path / f"a.{kind}").symlink_to(tmp_path / f"a.{kind}")
        items, cursor = read(feed(tmp_path, kind))
        assert reasons(items) == [(f"a.{kind}", Reason.UNREADABLE_FILE)]
        assert read(feed(tmp_path, kind), cursor)[0] == []


def test_the_cursor_holds_no_text(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", 'id,text\nr1,marker-word\nr2,"marker-word')
    write(tmp_path, "b.csv", "marker-word,no header\nr1,marker-word\n")
    items, cursor = read(feed(tmp_path))
    assert "marker" not in json.dumps(cursor)
    assert "marker" not in str([item for item in items if isinstance(item, Unreadable)])


# --- CSV: growing


def test_appended_rows_are_read_from_where_it_stopped(tmp_path: Path) -> None:
    for name, packed in (("a.csv", bytes), ("b.csv.gz", gzip.compress)):
        write(tmp_path, name, packed(b"text,id\nfirst,r1\n"))
    _, cursor = read(feed(tmp_path))
    append(tmp_path / "a.csv", b"second,r2\n")
    append(tmp_path / "b.csv.gz", gzip.compress(b"second,r2\n"))
    items, cursor = read(feed(tmp_path), cursor)
    assert [(item.place, item.source_id) for item in items if isinstance(item, Record)] == [
        ("a.csv:3", "r2"),
        ("b.csv.gz:3", "r2"),
    ]
    assert read(feed(tmp_path), cursor)[0] == []


def test_a_replaced_file_is_read_again_with_its_own_header(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,text\nr1,first\n")
    _, cursor = read(feed(tmp_path))
    write(tmp_path, "new", "text,id\nfirst,r1\nsecond,r2\n").replace(path)
    assert texts(read(feed(tmp_path), cursor)[0]) == {"r1": "first", "r2": "second"}


def test_a_last_row_without_line_end_waits_until_the_file_is_quiet(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "id,text\nr1,first\nr2,No eff", age=0)
    items, cursor = read(feed(tmp_path))
    assert ids(items) == ["r1"]
    assert texts(read(feed(tmp_path), cursor)[0]) == {"r2": "No eff"}  # quiet since the last look
    append(path, "usion", age=0)
    items, cursor = read(feed(tmp_path), cursor)
    assert items == []
    append(path, ".\nr3,third\n", age=0)
    assert texts(read(feed(tmp_path), cursor)[0]) == {"r2": "No effusion.", "r3": "third"}


def test_a_quote_that_stays_open_is_said_once_and_read_again_when_it_grows(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'id,text\nr1,"one,\n', age=0)
    assert read(feed(tmp_path))[0] == []
    os.utime(path, (time.time() - 60,) * 2)
    items, cursor = read(feed(tmp_path))
    assert reasons(items) == [("a.csv:2", Reason.BROKEN_CSV)]
    assert read(feed(tmp_path), cursor)[0] == []
    append(path, 'two"\n')
    assert texts(read(feed(tmp_path), cursor)[0]) == {"r1": "one,\ntwo"}


def test_a_row_that_is_finished_after_a_rest_can_be_read_again_whole(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'id,text\nr1,"one,\ntwo\nthree')
    items, cursor = read(feed(tmp_path))
    assert reasons(items)[0] == ("a.csv:2", Reason.BROKEN_CSV)
    assert ids(items) == []
    append(path, '"\nr2,fine\n')
    assert texts(read(feed(tmp_path), cursor)[0]) == {"r2": "fine"}
    again = opened(feed(tmp_path)).again("a.csv:2")
    assert isinstance(again, Record)
    assert again.text == "one,\ntwo\nthree"


def test_a_truncated_gzip_gives_what_it_holds_and_is_retried_when_it_changes(tmp_path: Path) -> None:
    packed = gzip.compress(
        b"id,text\n" + b"".join(b"r%d,%s\n" % (n, os.urandom(2_000).hex().encode()) for n in range(20))
    )
    path = write(tmp_path, "a.csv.gz", packed[: len(packed) // 2])
    items, cursor = read(feed(tmp_path))
    some = len(ids(items))
    assert 5 < some < 15
    assert items[-1] == Unreadable(f"a.csv.gz:{some + 2}", Reason.BROKEN_GZIP)
    assert read(feed(tmp_path), cursor)[0] == []
    append(path, packed[len(packed) // 2 :])
    assert ids(read(feed(tmp_path), cursor)[0]) == [f"r{n}" for n in range(some, 20)]


def test_stopping_anywhere_and_going_on_gives_every_item_once(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", 'id,text\nr1,"a\nb"\nr2,broken,\nno one\n\nr3,"x"y"\nr4,d\n')
    write(tmp_path, "b.csv.gz", gzip.compress(b"text,id\nz,r5\n"))
    whole, _ = read(feed(tmp_path))
    items = one_at_a_time(lambda cursor: opened(feed(tmp_path), cursor))
    assert items == whole
    assert len(items) == 6


def big_csv(encoding: str, count: int) -> tuple[bytes, dict[str, str]]:
    """A file with everything at once, and the texts that it holds."""
    wanted = {
        f"r{n}": f'{n}: 우측 폐에 "{n % 40} mm" 결절, 흉수 없음.\n{"No change, " * (n % 7)}끝.'
        if n % 3
        else f"양측 폐 정상 {n}"
        for n in range(count)
    }
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["번호", "판독", "비고"])
    writer.writerows([source_id, text.replace("\n", "\r\n"), "-"] for source_id, text in wanted.items())
    return out.getvalue().encode(encoding), wanted


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_twenty_thousand_rows_in_pieces_are_the_same_as_in_one_go(tmp_path: Path, encoding: str) -> None:
    content, wanted = big_csv(encoding, 20_000)
    one = feed(tmp_path, columns={"source_id": "번호", "text": "판독"}, encoding=encoding)
    path = write(tmp_path, "a.csv", b"", age=0)
    kinds: Counter[str] = Counter()
    seen: dict[str, str | None] = {}
    cursor: Json = {}
    cuts = sorted({*cut_positions(content, 40), len(content)})
    for start, end in zip([0, *cuts], cuts, strict=False):
        kinds[kind_of_cut(content, end)] += 1
        append(path, content[start:end], age=0)
        items, cursor = read(one, cursor)
        assert reasons(items) == []
        assert not seen.keys() & texts(items).keys()
        seen |= texts(items)
    assert seen == wanted
    assert {"quotes", "line end", "letter", "row"} <= kinds.keys()


def cut_positions(content: bytes, each: int) -> Iterator[int]:
    """`each` cuts of every kind, spread over the file."""
    stride = len(content) // each
    for start in range(stride // 2, len(content) - stride, stride):
        yield content.index(b'"', start) + 5  # within quotes, perhaps within a letter
        yield content.index(b"\r\n", start) + 1  # within a line end
        yield next(at for at in range(start, len(content)) if content[at] > 0x7F) + 1  # within a letter
        yield content.index(b'""', start) + 1  # within a doubled quote
        yield content.index(b",-\r\n", start) + 4  # between rows


def kind_of_cut(content: bytes, at: int) -> str:
    if content[at - 1 : at + 1] == b"\r\n":
        return "line end"
    if content[:at].count(b'"') % 2:
        return "quotes" if content[at - 1] < 0x80 else "letter"
    return "row" if content[at - 2 : at] == b"\r\n" else "elsewhere"


cells = st.text(st.sampled_from('a,"\n가\r ;'), max_size=6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(cells, min_size=1, max_size=6),
    st.lists(st.integers(1, 25), max_size=12),
    st.sampled_from(["utf-8", "cp949"]),
)
def test_a_file_that_grows_by_any_steps_gives_every_report_once(
    tmp_path_factory: pytest.TempPathFactory, written: list[str], steps: list[int], encoding: str
) -> None:
    folder = tmp_path_factory.mktemp("feed")
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(["id", "text"])
    writer.writerows([f"r{n}", f"x{text}"] for n, text in enumerate(written))
    content = out.getvalue().encode(encoding)
    path = write(folder, "a.csv", b"", age=0)
    one = feed(folder, encoding=encoding)
    cursor: Json = {}
    seen: list[Item] = []
    position = 0
    for step in [*steps, len(content)]:
        if position < len(content):
            append(path, content[position : position + step], age=0)
            position += step
            items, cursor = read(one, cursor)
            seen += items
    assert seen == read(one)[0]
    expected = [f"x{text}".replace("\r\n", "\n").replace("\r", "\n") for text in written]
    assert [item.text for item in seen if isinstance(item, Record)] == expected


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.sampled_from('ab,"\r\0 가\udcff'), max_size=10), max_size=8), st.booleans(), st.booleans())
def test_every_line_is_in_exactly_one_row(
    tmp_path_factory: pytest.TempPathFactory, content: list[str], ended: bool, quiet: bool
) -> None:
    joined = "\n".join(["id,text", *content]).encode("utf-8", "surrogateescape") + b"\n" * ended
    given_lines = [Line(n, raw, ended=True) for n, raw in enumerate(joined.split(b"\n"), 1)]
    found = list(rows(iter(given_lines), encoding="utf-8", delimiter=",", max_row_bytes=1_000, quiet=lambda: quiet))
    assert [row.number for row in found] == [1 + sum(row.lines for row in found[:n]) for n in range(len(found))]
    assert sum(row.lines for row in found) == len(given_lines)
    folder = tmp_path_factory.mktemp("feed")
    write(folder, "a.csv", joined)
    items, cursor = read(feed(folder), max_text_bytes=8)
    assert read(feed(folder), cursor, max_text_bytes=8)[0] == []
    reader = opened(feed(folder), max_text_bytes=8)
    assert [reader.again(item.place) for item in items] == items


def test_memory_stays_flat(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(b"id,text\n" + b"".join(b'r%d,"%s"\n' % (n, b"word " * 200) for n in range(8_000)))
    tracemalloc.start()
    count = sum(1 for _ in opened(feed(tmp_path)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 8_000
    assert peak < 4 << 20
