"""`nightread …` as people type it: help, settings and errors, which all commands have in common."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typed_commands import Typed
from under_test import HouseUnderTest

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


# --- migrate


def test_migrate_says_that_it_is_at_head(house: HouseUnderTest, typed: Typed) -> None:
    said = typed("migrate")
    assert said.code == 0
    assert "at head" in said.out
