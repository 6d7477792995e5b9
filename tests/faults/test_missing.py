"""What work needs is missing for a while: the model's folder, one byte of it, any model at all, the feed's folder."""

import shutil
from pathlib import Path

import psutil
import pytest
from stage import Stage, fhir, texts

from pipeline import status


@pytest.fixture(autouse=True)
def crew(stage: Stage):
    stage.processes.start("scheduler")
    worker = stage.processes.start("label")
    for child in psutil.Process(worker.pid).children():
        child.kill()  # one that has the model in memory would not miss it; its successor has not
    return stage


def waiting_for(stage: Stage, *words: str) -> None:
    """Wait until a job was given back twice, for a reason with these words."""
    stage.until(
        lambda: stage.value("SELECT coalesce(max(waits), 0) FROM job WHERE state = 'ready'") >= 2, "a job that waits"
    )
    with stage.house.sessions.begin() as session:
        reasons = " ".join(status.read(session).waiting)
    assert all(word in reasons for word in words), reasons
    # Given back each time: at most the attempt under way counts.
    assert stage.value("SELECT max(attempts) FROM job WHERE state <> 'done'") <= 1


def test_the_model_folder_is_moved_away_and_back(stage: Stage, serve):
    serve()
    folder = stage.house.home / "models" / "tiny"
    away = folder.rename(folder.with_name("away"))
    try:
        stage.receive(texts(8))
        waiting_for(stage, "tiny", "missing")
        shown = stage.house.status()  # the command itself, as a process
        assert "tiny" in " ".join(shown["waiting"]) and shown["pending"] == 8
    finally:
        away.rename(folder)
    assert stage.all_done()["labelled"] == 8
    assert stage.rows("SELECT DISTINCT attempts, waits, error FROM job") == [(1, 0, None)]


def test_one_byte_of_the_model_is_altered(stage: Stage, serve):
    serve()
    weights = max((stage.house.home / "models" / "tiny").rglob("*.safetensors"), key=lambda path: path.stat().st_size)
    _flip_last_byte(weights)
    try:
        stage.receive(texts(8))
        waiting_for(stage, "tiny", weights.name)
        assert stage.value("SELECT count(*) FROM classification") == 0
    finally:
        _flip_last_byte(weights)
    assert stage.all_done()["labelled"] == 8
    assert stage.rows("SELECT DISTINCT attempts, waits, error FROM job") == [(1, 0, None)]


def test_no_model_serves_until_one_is_promoted(stage: Stage, serve):
    stage.receive(texts(8))
    waiting_for(stage, "no model serves yet")
    serve()
    assert stage.all_done()["labelled"] == 8


def test_the_feed_folder_vanishes_and_comes_back(stage: Stage, serve):
    serve()
    stage.processes.start("intake")
    stage.write_feed("DiagnosticReport.000.ndjson", [fhir(name, body) for name, body in texts(7).items()])
    away = stage.feed.rename(stage.feed.with_name("unmounted"))
    try:
        stage.ask_pull()
        waiting_for(stage, str(stage.feed))
    finally:
        away.rename(stage.feed)
    assert stage.all_done() == {"received": 7, "labelled": 7, "dead": 0, "withdrawn": 0}
    assert stage.rows("SELECT attempts, waits, outcome FROM job WHERE kind = 'pull'") == [(1, 0, {"new": 7})]


def test_the_feed_folder_vanishes_in_the_middle_of_a_pull(stage: Stage, serve):
    serve()
    stage.processes.start("intake")
    for number in range(3):
        stage.write_feed(
            f"DiagnosticReport.{number}.ndjson", [fhir(name, body) for name, body in texts(5, start=5 * number).items()]
        )
    stage.hold("stored")
    stage.ask_pull()
    stage.held("stored")
    away = stage.feed.rename(stage.feed.with_name("unmounted"))
    stage.release("stored")
    stage.until(lambda: stage.value("SELECT state FROM job WHERE kind = 'pull'") == "done", "the pull's end")
    shutil.move(away, stage.feed)
    stage.ask_pull()  # the next night
    assert stage.all_done() == {"received": 15, "labelled": 15, "dead": 0, "withdrawn": 0}


def _flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
