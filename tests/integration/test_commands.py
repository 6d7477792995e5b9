"""`nightread …` as people type it: what it prints where, what it refuses, and what it leaves behind."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from given import feed_folder, fhir, record, store, stored
from sqlalchemy import text
from under_test import TINY_TEXTS, HouseUnderTest

from nightread import cli
from nightread.servers.processes import mark_of, marked
from pipeline.feeds.record import Skipped
from pipeline.names import Role

Serve = Callable[..., int]
Typed = Callable[..., "Said"]


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def plain_err(self) -> str:
        """What was said, without the line breaks of a narrow terminal."""
        return " ".join(self.err.split())


@pytest.fixture
def typed(house: HouseUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Type a command, inside this process: where starting another one is not the point."""
    for name, value in house.environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["nightread", *arguments])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        return Said(code, *capsys.readouterr())

    return run


# --- help

COMMANDS = (
    *("demo", "up", "migrate", "pull", "train", "evaluate", "label", "status", "sql", "schedules", "pause", "resume"),
    *("explain", "feeds", "pretrain", "similarity", "work"),
)
GROUPS = {
    "feeds": ("check",),
    "quarantine": ("list", "show", "release"),
    "annotations": ("import", "agreement", "list", "export"),
    "labels": ("import", "list", "show", "export"),
    "models": ("list", "show", "promote", "rollback", "thresholds", "verify"),
    "corpus": ("add", "list"),
    "vocabulary": ("build",),
    "dead-letters": ("list", "show", "retry", "drop"),
}


def test_help_teaches_and_loads_no_torch() -> None:
    arguments = [sys.executable, "-X", "importtime", "-m", "nightread", "--help"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60)
    for command in (*COMMANDS, *GROUPS):
        assert re.search(rf"\b{command}\b", done.stdout), command
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert not {"torch", "transformers", "worker.app", "celery"} & imported


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does(command: str, typed: Typed) -> None:
    said = typed(command, "--help")
    assert said.code == 0
    assert ("--home" in said.out) == (command != "similarity"), "which works on files alone"
    assert f"nightread {command}" in " ".join(said.out.split())


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_lists_its_commands_and_each_says_what_it_does(group: str, typed: Typed) -> None:
    listed = typed(group, "--help").out
    for command in GROUPS[group]:
        assert re.search(rf"\b{command}\b", listed), command
        said = typed(group, command, "--help")
        assert said.code == 0
        assert "--home" in said.out
        assert f"nightread {group} {command}" in " ".join(said.out.split())


# --- settings


def test_a_mistake_in_the_settings_is_one_line(house: HouseUnderTest, typed: Typed) -> None:
    house.configure("lable_job_size = 3\n")
    said = typed("status")
    assert said.code == 1
    assert said.out == ""
    assert "did you mean label_job_size?" in said.plain_err
    assert "Traceback" not in said.err


def test_the_home_may_be_named_before_or_behind_the_command(
    house: HouseUnderTest, typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTREAD_HOME", str(tmp_path / "elsewhere"))
    for arguments in (["--home", str(house.home), "pull"], ["pull", "--home", str(house.home)]):
        said = typed(*arguments)
        assert said.code == 1
        assert f"{house.home}/nightread.toml" in said.plain_err.replace(" ", "")


# --- status


def test_status_of_an_empty_house(typed: Typed) -> None:
    said = typed("status", "--json")
    assert said.code == 0
    now = json.loads(said.out)
    counted = ("received", "labelled", "pending", "dead", "withdrawn", "quarantined", "skipped")
    assert [now[name] for name in counted] == [0] * 7
    assert now["model"] is None


def test_status_counts_what_there_is(house: HouseUnderTest, serve: Serve, typed: Typed) -> None:
    version = serve()
    store(house, record("r1"), record("r2"), record("r2", text=None), Skipped("a:1", "other-code"))
    store(house, record("r3", text="Tel: 010-1234-5678"))
    now = json.loads(typed("status", "--json").out)
    counted = {name: now[name] for name in ("received", "labelled", "pending", "dead", "withdrawn")}
    assert counted == {"received": 2, "labelled": 0, "pending": 1, "dead": 0, "withdrawn": 1}
    assert (now["quarantined"], now["skipped"], now["jobs_ready"]) == (1, 1, 1)
    assert (now["model"]["version"], now["model"]["labels"]) == (version, 18)


def test_status_for_people(house: HouseUnderTest, serve: Serve, typed: Typed) -> None:
    serve()
    store(house, record("r1"))
    with house.sessions.begin() as session:
        session.execute(
            text(
                "INSERT INTO job (kind, key, feed, priority, max_attempts, state, waits, error) "
                "VALUES ('pull', 'x', 'main', 0, 1, 'ready', 1, 'no folder [/mnt/x]')"
            )
        )
    said = typed("status")
    assert said.code == 0
    plain = " ".join(said.out.split())
    assert "Model version 1 (tiny), 18 labels" in plain
    assert "waiting: no folder [/mnt/x]" in plain
    assert "Look at jobs wait: no folder [/mnt/x]" in plain
    assert "none serves" not in plain
    assert len(said.out.splitlines()) <= 24, "one screen"


def test_a_monitoring_system_learns_of_an_alert_by_the_exit_code(house: HouseUnderTest, typed: Typed) -> None:
    assert typed("status", "--check").code == 0
    store(house, record("r1"))
    said = typed("status", "--check", "--json")
    assert said.code == 1
    assert json.loads(said.out)["alerts"] == ["no model serves, so nothing is labelled: `nightread train … --promote`"]
    assert typed("status").code == 0, "only --check fails"


def test_watching_shows_it_again_until_it_is_interrupted(house: HouseUnderTest) -> None:
    arguments = [sys.executable, "-u", "-m", "nightread", "status", "--watch"]
    watching = subprocess.Popen(
        arguments,
        env={**os.environ, **house.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that a shell started in the background ignore Ctrl-C, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads run here
    )
    shown: list[str] = []
    assert watching.stdout is not None
    for line in watching.stdout:
        shown.append(line)
        if sum("received" in one for one in shown) == 2:
            break
    watching.send_signal(signal.SIGINT)
    _, complaint = watching.communicate(timeout=60)
    assert (watching.returncode, complaint) == (0, "")


# --- errors


def test_wrong_usage_exits_with_2(house: HouseUnderTest) -> None:
    for wrong in (["status", "--no-such-option"], ["no-such-command"], ["sql", "--role", "king", "SELECT 1"]):
        done = house.command(*wrong)
        assert done.returncode == 2, wrong
        assert "Traceback" not in done.stderr


def test_a_traceback_only_where_it_was_asked_for(house: HouseUnderTest) -> None:
    plain, full = house.command("pull", "nobody"), house.command("--debug", "pull", "nobody")
    assert (plain.returncode, full.returncode) == (1, 1)
    assert plain.stderr.startswith("error: the settings name no feed 'nobody'")
    assert "Traceback" not in plain.stderr
    assert "Traceback" in full.stderr
    assert "UnknownFeed" in full.stderr


def test_an_error_that_is_not_our_own_is_one_line_without_its_message() -> None:
    code = (
        "import sys; from nightread import cli\n"
        "@cli.app.command()\n"
        "def breaks() -> None: raise KeyError('a report text')\n"
        "sys.argv = ['nightread', *sys.argv[1:]]; cli.main()"
    )
    plain, full = (
        subprocess.run([sys.executable, "-c", code, *more, "breaks"], capture_output=True, text=True, check=False)
        for more in ([], ["--debug"])
    )
    assert (plain.returncode, full.returncode) == (1, 1)
    assert len(plain.stderr.splitlines()) == 1
    assert "KeyError at <string>:3" in plain.stderr
    assert "--debug" in plain.stderr
    assert "a report text" not in plain.stderr
    assert "Traceback" in full.stderr


def test_json_is_alone_on_stdout_of_a_process(house: HouseUnderTest) -> None:
    done = house.command("status", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["received"] == 0


# --- sql


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


# --- pull and label without waiting


def test_pull_without_feeds_says_how_to_add_one(house: HouseUnderTest, typed: Typed) -> None:
    said = typed("pull")
    assert said.code == 1
    assert "[feeds.main]" in said.err
    assert "nightread.toml" in said.err


def test_pull_of_an_unknown_feed_names_the_known(house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    feed_folder(house, tmp_path)
    said = typed("pull", "mian")
    assert said.code == 1
    assert "no feed 'mian' (known: main)" in said.plain_err
    assert house.value("SELECT count(*) FROM job") == 0


def test_pull_asks_once(house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    feed_folder(house, tmp_path)
    assert typed("pull").code == typed("pull", "main").code == 0
    assert [tuple(row) for row in house.rows("SELECT kind, feed, state FROM job")] == [("pull", "main", "ready")]


def test_label_gives_jobs_to_what_lacks_labels(house: HouseUnderTest, typed: Typed) -> None:
    stored(house, ["One.", "Two."])
    with house.sessions.begin() as session:
        session.execute(text("UPDATE job SET state = 'done'"))
    assert "2 reports were given a job" in typed("label").out
    assert "0 reports were given a job" in typed("label").out


# --- migrate


def test_migrate_says_that_it_is_at_head(house: HouseUnderTest, typed: Typed) -> None:
    said = typed("migrate")
    assert said.code == 0
    assert "at head" in said.out


# --- train and evaluate

HEADER = ("id", "report_text", "split", "Nodule", "흉수")


def annotated(file: Path, texts: Sequence[str], *, split: str = "") -> Path:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        for number, words in enumerate(texts):
            writer.writerow((f"r{number}", words, split, number % 2, int("흉수" in words)))
    return file


@pytest.fixture
def trained(house: HouseUnderTest, tiny_artifact: tuple[Path, str], tmp_path: Path) -> Path:
    """A model that serves, trained by the command; its annotations."""
    parts = ("train",) * 8 + ("calibration",) * 2 + ("gate",) * 2
    file = tmp_path / "labels.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        for number, split in enumerate(parts):
            words = f"{TINY_TEXTS[number % 4]} ({number})"
            writer.writerow((f"r{number}", words, split, number % 2, int(number % 4 < 2)))
    foundation = str(tiny_artifact[0].parent / "foundation")
    options = ("--annotations", str(file), "--foundation", foundation, "--epochs", "1", "--promote")
    done = house.command("train", *options)
    assert done.returncode == 0, done.stderr
    assert "12 reports, 2 labels; 8 train, 2 calibration, 2 gate" in done.stdout
    assert "Model version 1 is registered; it serves now." in done.stdout
    assert "training:" in done.stderr, "without a terminal the bar is a line"
    return file


def test_a_model_is_made_and_judged(trained: Path, house: HouseUnderTest, typed: Typed, tmp_path: Path) -> None:
    (model,) = house.rows("SELECT foundation, serves, gate_macro_f1, artifact_sha256 FROM model_history", Role.ANALYST)
    assert (model.foundation, model.serves) == ("foundation", True)
    assert 0 <= model.gate_macro_f1 <= 1
    assert house.value("SELECT settings ->> 'epochs' FROM model_version") == "1"
    assert house.value("SELECT count(*) FROM fitted_on") == 10, "gate reports are never fitted"
    columns = house.rows("SELECT column_name FROM label WHERE label_set_id = 2 ORDER BY position")
    assert [row.column_name for row in columns] == ["nodule", "label_2"]
    artifact = house.home / "models" / house.value("SELECT artifact FROM model_version")
    assert artifact.name.startswith("classifier-")
    assert not list((house.home / "models").glob(".training-*"))

    refused = typed("evaluate", "--annotations", str(trained))
    assert refused.code == 1
    assert "model 1 was fitted on 10 of these 12 reports" in refused.plain_err
    assert "--include-fitted" in refused.plain_err

    flattered = json.loads(typed("evaluate", "--annotations", str(trained), "--include-fitted", "--json").out)
    assert (flattered["model"], flattered["reports"]) == (1, 12)

    unseen = annotated(tmp_path / "unseen.csv", ["A nodule of 3 cm.", "흉수 없음.", "Clear.", "결절과 흉수."])
    judged = json.loads(typed("evaluate", "--annotations", str(unseen), "--json").out)
    assert judged["reports"] == 4
    assert set(judged["labels"]) == {"Nodule", "흉수"}
    assert judged["labels"]["Nodule"]["support"] == 2
    assert {"precision", "recall", "f1", "f1_interval"} <= set(judged["labels"]["흉수"])
    assert 0 <= judged["macro_f1"] <= 1

    table = typed("evaluate", "--annotations", str(unseen), "--model", "1")
    assert "Model 1 on 4 reports" in table.out
    assert "Macro F1" in table.out

    other = tmp_path / "other.csv"
    other.write_text("text,Nodule,Emphysema\nA,1,0\n")
    said = typed("evaluate", "--annotations", str(other))
    assert said.code == 1
    assert "only one of the two has: Emphysema, 흉수" in said.plain_err

    said = typed("evaluate", "--annotations", str(unseen), "--model", "7")
    assert said.code == 1
    assert "no model version 7; known are: 1" in said.plain_err


def test_a_file_that_cannot_be_used_is_refused_before_anything_starts(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("text,age\nA,57\n")
    said = typed("train", "--annotations", str(tmp_path / "bad.csv"), "--foundation", "nowhere")
    assert said.code == 1
    assert "no 0/1 column" in said.plain_err


def test_evaluating_before_any_model_serves_says_so(typed: Typed, tmp_path: Path) -> None:
    said = typed("evaluate", "--annotations", str(annotated(tmp_path / "a.csv", ["A."])))
    assert said.code == 1
    assert "no model serves yet" in said.plain_err


# --- at work


def processes_of(home: Path) -> list[str]:
    """Everything that runs for a home: its crew by their environment, its servers by their mark."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        try:
            if process.environ().get("NIGHTREAD_HOME") == str(home) and process.pid != os.getpid():
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    servers = home / "servers"
    if servers.exists():
        found += [process.name() for process in marked(mark_of(servers), "postgres", "redis-server")]
    return found


@pytest.fixture
def own_home() -> Iterator[Path]:
    """A home of its own, with servers that nobody else keeps running."""
    home = Path(tempfile.mkdtemp(prefix="nightread-up-", dir="/tmp"))
    home.chmod(0o711)
    yield home
    shutil.rmtree(home, ignore_errors=True)


def test_pull_and_label_bring_their_own_crew(
    house: HouseUnderTest, serve: Serve, tmp_path: Path, transport: str
) -> None:
    if transport == "tcp":
        pytest.skip("with the hospital's own servers nobody but `up` starts workers")
    (tmp_path / "a.ndjson").write_bytes(b"".join(fhir(f"r{n}", words) for n, words in enumerate(TINY_TEXTS)))
    feed_folder(house, tmp_path)
    pulled = house.command("pull", "--wait")
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout.splitlines() == ["main: 4 new"]
    assert "pulling main: 1 of 1" in pulled.stderr
    serve()
    labelled = house.command("label", "--wait")
    assert labelled.returncode == 0, labelled.stderr
    assert labelled.stdout == "4 labelled, 0 dead-lettered, 0 withdrawn.\n"
    assert house.value("SELECT count(DISTINCT report_id) FROM report_labels") == 4
    assert [line for line in processes_of(house.home) if "postgres" not in line and "redis" not in line] == []


def test_pull_waits_for_a_missing_folder_only_until_it_knows(
    house: HouseUnderTest, tmp_path: Path, transport: str
) -> None:
    if transport == "tcp":
        pytest.skip("with the hospital's own servers nobody but `up` starts workers")
    feed_folder(house, tmp_path / "missing")
    done = house.command("pull", "main", "--wait")
    assert done.returncode == 1
    assert "feed main was not pulled" in done.stderr
    assert str(tmp_path / "missing") in "".join(done.stderr.split("\n"))
    assert "Traceback" not in done.stderr


def test_up_runs_everything_and_leaves_nothing(
    house: HouseUnderTest, own_home: Path, tmp_path: Path, transport: str
) -> None:
    home = own_home if transport == "socket" else house.home
    environment = {**os.environ, **house.environment, "NIGHTREAD_HOME": str(home)}
    (tmp_path / "a.ndjson").write_bytes(fhir("r1", "No nodule.") + b"{broken\n")
    (home / "nightread.toml").write_text(f'[feeds.main]\npath = "{tmp_path}"\nsite = "seoul"\n')

    def nightread(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "nightread", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    with (tmp_path / "up.log").open("w") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "nightread", "up"], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert up.stdout is not None
        assert f"Nightread is up on {home}" in up.stdout.readline()

        again = nightread("up")
        assert again.returncode == 1
        assert f"already up on {home} (process {up.pid})" in " ".join(again.stderr.split())

        pulled = nightread("pull", "--wait")
        assert (pulled.returncode, pulled.stdout) == (0, "main: 1 new, 1 quarantined\n"), pulled.stderr

        labelled = nightread("label", "--wait")
        assert labelled.returncode == 1
        assert "no model serves yet" in labelled.stderr

        now = json.loads(nightread("status", "--json").stdout)
        assert (now["received"], now["pending"], now["quarantined"]) == (1, 1, 1)
        assert now["runs"][0]["state"] == "done"

        crew = json.loads((home / "crew.json").read_text())
        assert {one["name"] for one in crew} == {"scheduler", "intake", "label", "training"}
        up.send_signal(signal.SIGTERM)
        out, _ = up.communicate(timeout=60)
        assert up.returncode == 0
        assert out.splitlines()[-1] == "Stopped."
    finally:
        if up.poll() is None:
            up.terminate()
            up.communicate(timeout=60)
    assert not any(psutil.pid_exists(one["pid"]) for one in crew)
    if transport == "socket":
        assert processes_of(home) == []
    assert "Traceback" not in (tmp_path / "up.log").read_text()
