"""`nightread corpus` and `nightread vocabulary`: from files and from the stored reports to a tokenizer."""

import gzip
import io
import shutil
import stat
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import typer
from given import record, store
from transformers import AutoTokenizer
from typed_commands import Told, typist_of
from under_test import HouseUnderTest

from models import artifacts
from models.errors import ModelError
from models.foundations import load_tokenizer
from nightread import corpora
from nightread.commands import corpus, vocabulary
from nightread.made_up.reports import reports
from pipeline import settings

Typed = Callable[..., Told]

ENGLISH = "There is no pleural effusion in either lung.\nThe heart is of normal size.\n"
KOREAN = "양측 흉수는 관찰되지 않습니다.\n심장의 크기는 정상입니다.\n"


@pytest.fixture
def typed(house: HouseUnderTest, in_house: None, capsys: pytest.CaptureFixture[str]) -> Iterator[Typed]:
    """Type `nightread corpus …` or `nightread vocabulary …`, inside this process."""
    yield typist_of(corpus.app, vocabulary.app, capsys=capsys)
    shutil.rmtree(house.home / "corpora", ignore_errors=True)


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def texts(house: HouseUnderTest, *names: str) -> list[str]:
    return list(corpora.texts(settings.read(house.home), names))


def test_a_text_is_cleaned_counted_and_kept_for_its_owner_alone(
    house: HouseUnderTest, typed: Typed, tmp_path: Path
) -> None:
    korean = unicodedata.normalize("NFD", KOREAN)
    file = written(tmp_path / "a.txt", f"\ufeff{ENGLISH}\n{korean}- 12 -\n{ENGLISH.upper()}")
    said = typed("corpus", "add", "first", file, "--kind", "textbook", "--json")
    assert said.json["documents"] == said.json["lines"] == 4
    assert said.json["text_bytes"] == len((ENGLISH + KOREAN).replace("\n", "").encode())
    assert said.json["dropped"] == {"no words": 1, "duplicate": 2}
    assert {language: share["documents"] for language, share in said.json["shares"].items()} == {"en": 2, "ko": 2}
    assert texts(house, "first") == (ENGLISH + KOREAN).splitlines()
    folder = house.home / "corpora" / "first"
    assert artifacts.verify(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_people_see_counts_shares_and_what_was_left_out(typed: Typed, tmp_path: Path) -> None:
    file = written(tmp_path / "a.txt", f"{ENGLISH}{KOREAN}1 2 3\n")
    said = typed("corpus", "add", "first", file, "--language", "ko")
    assert "Left out, no words: 1 lines." in said.plain
    assert "first ko 4 4" in said.plain.replace("│", " ").replace("  ", " ").replace("  ", " ").replace("  ", " ")
    assert "warning" not in said.err
    said = typed("corpus", "add", "second", written(tmp_path / "b.txt", ENGLISH), "--language", "ko")
    assert "said to be ko, but 0% of it is" in said.err


def test_a_column_of_csv_and_parquet_keeps_its_lines_together(
    house: HouseUnderTest, typed: Typed, tmp_path: Path
) -> None:
    rows = ["Findings:\nno effusion, heart normal", "흉수 없음"]
    csv = written(tmp_path / "a.csv", 'id,report\n1,"{}"\n2,{}\n'.format(*rows), "cp949")
    assert typed("corpus", "add", "csv", csv, "--column", "report", "--encoding", "cp949").error is None
    assert texts(house, "csv") == rows
    pyarrow.parquet.write_table(pyarrow.table({"text": [*rows, None]}), tmp_path / "a.parquet")
    zipped = tmp_path / "b.txt.gz"
    zipped.write_bytes(gzip.compress(ENGLISH.encode()))
    assert typed("corpus", "add", "both", tmp_path / "a.parquet", zipped).error is None
    assert texts(house, "both") == [*rows, *ENGLISH.splitlines()]


def test_what_cannot_be_read_is_told_by_file_and_line(house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    lines = [f"a line about the {number}th lobe of one lung" for number in range(40)]
    file = tmp_path / "my notes.txt"
    file.write_bytes("\n".join(lines).encode() + b"\nna\xefve\nand\0so on\n")
    said = typed("corpus", "add", "first", file, "--json")
    assert said.json["places"] == [f"{file}:41: undecodable", f"{file}:42: undecodable"]
    assert said.json["dropped"] == {"undecodable": 2}
    assert texts(house, "first") == lines
    csv = written(tmp_path / "a.csv", "id,text\n1,one lung\n2,two,three\n4,five lobes\n")
    assert typed("corpus", "add", "second", csv, "--json").json["places"] == [f"{csv}:3: broken row"]


def test_another_encoding_is_refused_and_nothing_is_left(house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    file = written(tmp_path / "a.txt", KOREAN, "cp949")
    error = typed("corpus", "add", "first", file).error or ""
    assert f"{file} is not utf-8: 2 of its lines" in error
    assert f"from {file}:1" in error
    assert "--encoding" in error
    assert not list((house.home / "corpora").iterdir())
    assert typed("corpus", "add", "first", file, "--encoding", "cp949").error is None
    assert texts(house, "first") == KOREAN.splitlines()


@pytest.mark.parametrize(
    ("name", "content", "options", "error"),
    [
        ("a.txt", b"", [], "nothing is left for corpus 'first' (the files are empty)"),
        ("a.txt", b"1\n2\n", [], "nothing is left for corpus 'first' (2 no words)"),
        (
            "a.csv",
            b"id,report\n1,a\n",
            [],
            "a.csv:1: none of the 2 columns named there is 'text'; name one with --column",
        ),
        (
            "a.csv",
            "번호,판독\n1,a\n".encode("cp949"),
            [],
            "a.csv:1: the line that names the columns is no text in utf-8",
        ),
        (
            "a.csv",
            "id,text\n1,a\n".encode("utf-16"),
            [],
            "a.csv:1: the line that names the columns is no text in utf-8",
        ),
        ("a.parquet", b"PAR1", [], "is no Parquet file"),
        ("a.txt.gz", b"no gzip", [], "broken gzip"),
        ("a.txt.gz", gzip.compress(b"a line of some text", mtime=0)[:10] + b"\xff" * 20, [], "broken gzip"),
        ("a.txt", b"a", ["--encoding", "utf-16"], "convert the file to utf-8"),
        ("a.txt", b"a", ["--encoding", "klingon"], "no encoding that Python knows"),
        ("a.csv", b"id,text\n1,a\n", ["--encoding", "idna"], "no encoding that Python knows"),
        ("a.txt", b"a", ["--encoding", "undefined"], "no encoding that Python knows"),
    ],
)
def test_bad_files_are_refused(
    typed: Typed, tmp_path: Path, name: str, content: bytes, options: list[str], error: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert error in (typed("corpus", "add", "first", tmp_path / name, *options).error or "")


def test_a_table_that_does_not_name_its_columns_is_not_quoted(typed: Typed, tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", "1,Hong Gildong has a secret effusion,0\n2,Another one,1\n")
    error = typed("corpus", "add", "first", file).error or ""
    assert "none of the 3 columns" in error
    assert "effusion" not in error


def test_names_that_cannot_be_and_files_that_are_not_there(typed: Typed, tmp_path: Path) -> None:
    file = written(tmp_path / "a.txt", ENGLISH)
    assert "cannot be named '../x'" in (typed("corpus", "add", "../x", file).error or "")
    assert "cannot be named 'reports'" in (typed("corpus", "add", "reports", file).error or "")
    assert "there is no file" in (typed("corpus", "add", "first", tmp_path / "none.txt").error or "")
    assert typed("corpus", "add", "first", file).error is None
    assert "there is a corpus 'first' already" in (typed("corpus", "add", "first", file).error or "")


def test_records_with_identifying_data_are_left_out(house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    file = written(tmp_path / "a.txt", "Call the ward at 010-1234-5678.\nThe heart is normal.\n")
    assert typed("corpus", "add", "ours", file, "--kind", "ehr", "--json").json["dropped"] == {"identifying data": 1}
    assert texts(house, "ours") == ["The heart is normal."]
    assert typed("corpus", "add", "theirs", file, "--kind", "article", "--json").json["dropped"] == {}


def test_an_altered_corpus_is_refused(house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    typed("corpus", "add", "first", written(tmp_path / "a.txt", ENGLISH))
    shard = house.home / "corpora" / "first" / "text-0000.txt"
    shard.write_text(shard.read_text().replace("no", "a"))
    with pytest.raises(ModelError, match="sha256"):
        texts(house, "first")


def test_the_stored_reports_are_a_corpus_without_what_was_withdrawn(house: HouseUnderTest, typed: Typed) -> None:
    store(house, record("a", "흉수 없음."), record("b", "A nodule."), record("c", "Effusion, as before."))
    store(house, record("b", None, updated_at=None), record("a", "우측 흉수.", updated_at=None))
    assert texts(house, "reports") == ["Effusion, as before.", "우측 흉수."]
    (listed,) = typed("corpus", "list", "--json").json
    assert (listed["name"], listed["documents"]) == ("reports", 2)
    assert listed["text_bytes"] == sum(len(text.encode()) for text in texts(house, "reports"))


def test_a_corpus_is_removed_whole_and_may_be_added_anew(house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    file = written(tmp_path / "a.txt", ENGLISH)
    for name in ("first", "second"):
        typed("corpus", "add", name, file)
    (house.home / "corpora" / ".first.0.removed").mkdir()  # somebody was killed at it
    assert "first is deleted" in typed("corpus", "remove", "first", "--yes").plain
    assert [path.name for path in (house.home / "corpora").iterdir()] == ["second"]
    assert "there is no corpus 'first'" in (typed("corpus", "remove", "first", "--yes").error or "")
    assert typed("corpus", "add", "first", file).error is None


def test_nothing_is_removed_without_a_yes(
    house: HouseUnderTest, typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed("corpus", "add", "first", written(tmp_path / "a.txt", ENGLISH))
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    with pytest.raises(typer.Abort):
        typed("corpus", "remove", "first")
    assert texts(house, "first")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert "from a.txt" in typed("corpus", "remove", "first").plain
    assert not (house.home / "corpora" / "first").exists()


@pytest.mark.parametrize(
    ("name", "said"), [("reports", "withdraws them"), ("none", "there is no corpus"), ("..", "there is no corpus")]
)
def test_what_is_no_corpus_of_files_is_not_removed(typed: Typed, name: str, said: str) -> None:
    assert said in (typed("corpus", "remove", name, "--yes").error or "")


def test_a_corpus_that_cannot_be_read_can_be_removed(house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    typed("corpus", "add", "first", written(tmp_path / "a.txt", ENGLISH))
    (house.home / "corpora" / "first" / "corpus.json").write_text("{")
    assert "nightread corpus remove first" in (typed("corpus", "list").error or "")
    assert typed("corpus", "remove", "first", "--yes").error is None
    assert not (house.home / "corpora" / "first").exists()


def test_all_corpora_are_listed(typed: Typed, tmp_path: Path) -> None:
    typed("corpus", "add", "b-side", written(tmp_path / "a.txt", ENGLISH), "--kind", "general")
    typed("corpus", "add", "a-side", written(tmp_path / "b.txt", KOREAN))
    assert [one["name"] for one in typed("corpus", "list", "--json").json] == ["a-side", "b-side", "reports"]
    assert "b-side" in typed("corpus", "list").plain


def test_a_vocabulary_is_built_from_corpora_and_shown_on_held_out_text(
    house: HouseUnderTest, typed: Typed, tmp_path: Path
) -> None:
    made_up = "\n".join(report.text.replace("\n", " ") for report in reports(600, seed=5))
    typed("corpus", "add", "made-up", written(tmp_path / "a.txt", made_up))
    out = tmp_path / "vocabulary"
    said = typed("vocabulary", "build", "--corpus", "made-up", "--size", 900, "--out", out, "--json")
    assert said.error is None
    assert said.json["pieces"] == 900
    assert "warning" not in said.err
    assert all(found["unknown_rate"] < 0.1 for found in said.json["held_out"].values())
    assert all(1 < found["pieces_per_word"] < 4 for found in said.json["held_out"].values())
    assert artifacts.verify(out) == said.json["sha256"]
    ours, theirs = load_tokenizer(out), AutoTokenizer.from_pretrained(out)
    for text in ("우측 폐상엽에 3.5cm 결절", unicodedata.normalize("NFD", "흉수 없음"), "1.2 x 0.8 cm GGO"):
        mine, other = ours.backend_tokenizer.encode(text), theirs.backend_tokenizer.encode(text)
        assert (mine.tokens, mine.offsets) == (other.tokens, other.offsets)
    assert "exists already" in (typed("vocabulary", "build", "--corpus", "made-up", "--out", out).error or "")


def test_what_makes_no_vocabulary_is_told(house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    typed("corpus", "add", "small", written(tmp_path / "a.txt", ENGLISH + ENGLISH.replace("no", "a")))
    out = tmp_path / "vocabulary"
    said = typed("vocabulary", "build", "--corpus", "small", "--out", out)
    assert "supports only" in (said.error or "")
    assert "there is no corpus 'large'" in (typed("vocabulary", "build", "--corpus", "large", "--out", out).error or "")
    assert "'reports' is empty" in (typed("vocabulary", "build", "--corpus", "reports", "--out", out).error or "")
    assert not out.exists()
    size = int((said.error or "").rpartition(" ")[2])
    assert (
        "in one language (0.0%" in typed("vocabulary", "build", "--corpus", "small", "--size", size, "--out", out).err
    )
