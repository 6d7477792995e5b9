"""`nightread sql`: what each role may ask, and that an answer is data and an error quotes none."""

import csv
import io
import re

import pytest
from given import stored
from typed_commands import Typed
from under_test import HouseUnderTest

from pipeline.names import Role


def test_the_analyst_asks_and_gets_a_table(house: HouseUnderTest, typed: Typed) -> None:
    stored(house, ["No nodule."])
    said = typed("sql", "SELECT site, received FROM completeness WHERE site LIKE 's%'")
    assert said.code == 0
    assert "seoul" in said.out
    assert "1 rows" in said.out


def test_every_view_and_column_is_listed_with_its_comment(house: HouseUnderTest, typed: Typed) -> None:
    for role, with_text in (("analyst", False), ("reader", True)):
        said = typed("sql", "--views", "--role", role, "--csv")
        assert said.code == 0
        listed = list(csv.DictReader(io.StringIO(said.out)))
        assert ("report_texts" in {row["view"] for row in listed}) is with_text
        assert all(row["about"] and row["meaning"] for row in listed)
        assert {row["column"] for row in listed if row["view"] == "completeness"} >= {"received", "pending"}
    for_people = typed("sql", "--views").out
    assert "report_labels: One row per current labelled report" in " ".join(for_people.split())
    assert "Whether a newer model serves" in " ".join(for_people.split())


def test_an_error_quotes_no_value(house: HouseUnderTest, typed: Typed) -> None:
    stored(house, ["marker-word-17"])
    said = typed("sql", "--role", "reader", "SELECT text::int FROM report_texts")
    assert said.code == 1
    assert "SQLSTATE 22P02" in said.plain_err
    assert "marker-word-17" not in said.err + said.out


def test_square_brackets_are_data(house: HouseUnderTest, typed: Typed) -> None:
    stored(house, ["[/bold] Patient: [NAME] [red]"])
    said = typed("sql", "--role", "reader", 'SELECT text AS "[/x]" FROM report_texts')
    assert said.code == 0
    assert "[/bold] Patient: [NAME] [red]" in said.out
    assert "[/x]" in said.out


def test_csv_is_alone_on_stdout(house: HouseUnderTest, typed: Typed) -> None:
    stored(house, ['Line one,\n"line" two; 결절 🫁', "No nodule."])
    said = typed("sql", "--role", "reader", "--csv", "SELECT report_id, text, study_at FROM report_texts ORDER BY 1")
    assert said.code == 0
    found = list(csv.reader(io.StringIO(said.out)))
    assert found[0] == ["report_id", "text", "study_at"]
    assert [row[1] for row in found[1:]] == ['Line one,\n"line" two; 결절 🫁', "No nodule."]


def test_csv_of_nothing_is_a_header(typed: Typed) -> None:
    assert typed("sql", "--csv", "SELECT report_id FROM report_labels").out == "report_id\n"


def test_the_analyst_reads_no_text(house: HouseUnderTest, typed: Typed) -> None:
    stored(house, ["Secret words."])
    for relation in ("report_texts", "finding_words", "report"):
        said = typed("sql", f"SELECT * FROM {relation}")
        assert said.code == 1
        assert "permission denied" in said.err
        assert "nightread sql --views" in " ".join(said.err.split())
        assert "Secret" not in said.out + said.err


def test_without_a_query_the_url_is_printed(house: HouseUnderTest, typed: Typed) -> None:
    said = typed("sql", "--role", "reader")
    assert said.out == f"{house.addresses.database_url(Role.READER)}\n"


def test_a_bad_query_is_explained(typed: Typed) -> None:
    said = typed("sql", "SELEKT 1")
    assert said.code == 1
    assert 'syntax error at or near "SELEKT" (SQLSTATE 42601)' in said.plain_err
    assert "Traceback" not in said.err


def test_a_statement_without_rows_is_refused(typed: Typed) -> None:
    said = typed("sql", "SET work_mem = '1MB'")
    assert said.code == 1
    assert "ask with SELECT" in said.plain_err


@pytest.mark.parametrize("role", ["analyst", "reader"])
@pytest.mark.parametrize("query", ["DELETE FROM report RETURNING id", "CREATE TABLE x ()", "DROP VIEW report_labels"])
def test_writing_is_refused(role: str, query: str, typed: Typed) -> None:
    said = typed("sql", "--role", role, query)
    assert said.code == 1
    assert re.search(r"\(SQLSTATE (25006|42501)\)", said.plain_err)


def test_a_server_that_cannot_be_reached_is_said_without_a_traceback(
    house: HouseUnderTest, typed: Typed, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if transport == "socket":
        pytest.skip("embedded servers are always there: the command starts them")
    monkeypatch.setenv("NIGHTREAD_ANALYST_DATABASE_URL", "postgresql://nobody:pw-secret@127.0.0.1:1/x")
    said = typed("sql", "SELECT 1")
    assert said.code == 1
    assert "cannot be reached" in said.plain_err
    assert "pw-secret" not in said.err
