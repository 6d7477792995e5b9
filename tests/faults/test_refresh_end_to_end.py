"""A refresh as people have it: asked for on the command line, done by real processes, seen in SQL, taken back."""

import json
import os
from pathlib import Path

import pytest
import refreshable
from under_test import HouseUnderTest

from pipeline.tables import Table

MARKER = "zq7f3a9e"  # in one report, and nowhere else


def leaks(house: HouseUnderTest) -> list[str]:
    """Where the marker stands outside of report.text: columns of any table, logs, whatever the refresh left."""
    found = []
    for table in Table.metadata.sorted_tables:
        if house.value(f"SELECT count(*) FROM {table.name} t WHERE (to_jsonb(t) - 'text')::text LIKE '%{MARKER}%'"):
            found.append(table.name)
    read = [path for path in house.home.rglob("*") if path.suffix in {".log", ".json", ".jsonl"} and path.is_file()]
    assert any("log" in path.name for path in read)
    left = [path for path in (house.home / "models" / ".refresh").rglob("*") if path.is_file()]
    return found + [str(path) for path in [*read, *left] if path in left or MARKER.encode() in path.read_bytes()]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")


def test_from_the_command_to_the_rollback(
    house: HouseUnderTest, nobody_else: None, tmp_path: Path, quick: None
) -> None:
    house.configure(refreshable.SETTINGS)
    champion = refreshable.make(house, tmp_path)
    refreshable.receive_text(house, f"No effusion, {MARKER}. 결절이 보임, {MARKER}.")

    waited = house.command("refresh", "--wait", timeout=400)
    assert waited.returncode == 0, waited.stdout + waited.stderr
    assert "serves in place of" in waited.stdout

    shown = json.loads(house.command("refresh", "status", "--json").stdout)
    assert (shown["state"], shown["former_model_version"]) == ("promoted", champion)
    made = shown["model_version"]
    assert house.value("SELECT refresh FROM model_history WHERE serves") == shown["refresh"]

    picture = tmp_path / "forgetting.png"
    drawn = house.command("models", "forgetting", "--png", str(picture))
    assert drawn.returncode == 0, drawn.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")

    assert leaks(house) == []

    labelled = house.command("label", "--wait", timeout=400)
    assert labelled.returncode == 0, labelled.stderr
    by_made = f"SELECT count(*) FROM classification WHERE model_version_id = {made}"
    assert house.value(by_made) == house.value("SELECT count(*) FROM report WHERE is_current")

    back = house.command("models", "rollback", "--note", "trying it")
    assert back.returncode == 0, back.stderr
    assert house.value("SELECT model_version FROM model_history WHERE serves") == champion
    # What only the withdrawn version had read is pending, and comes first.
    assert house.value("SELECT sum(pending) FROM completeness") > 0
    assert house.rows("SELECT DISTINCT priority FROM job WHERE kind = 'label' AND state = 'ready'") == [(0,)]
