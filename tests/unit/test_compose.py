"""docker-compose.yml, the Dockerfile and .dockerignore: valid, and naming only what exists."""

import copy
import re
import shlex
import tomllib
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import compose_file
import pytest
import yaml
from command_lines import refused
from compose_file import ROOT, Compose, Unset, problems

from nightread import crew
from nightread.crew import Member

FILE = ROOT / "docker-compose.yml"
SECRETS = ("POSTGRES_PASSWORD", "OWNER_PASSWORD", "APP_PASSWORD", "REDIS_PASSWORD")
SET = {name: f"a-{name.lower()}" for name in SECRETS} | {"FEEDS_DIR": "/mnt/export"}


@pytest.fixture(scope="module")
def compose() -> Compose:
    return compose_file.read(FILE, SET)


def test_the_file_is_valid_and_keeps_our_rules(compose: Compose) -> None:
    assert problems(compose) == []


@pytest.mark.parametrize("name", [*SECRETS, "FEEDS_DIR"])
@pytest.mark.parametrize("value", [None, ""])
def test_what_is_unset_is_named(name: str, value: str | None) -> None:
    given = {key: one for key, one in SET.items() if key != name} | ({} if value is None else {name: value})
    with pytest.raises(Unset, match=f"^{name}: set {name}"):
        compose_file.read(FILE, given)


def test_every_variable_is_in_the_example_and_every_other_has_a_default() -> None:
    found = compose_file.variables(FILE)
    assert {name for name, how in found.items() if how == "?"} == SET.keys()
    assert "" not in found.values(), "an unset one would be empty in silence"
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert [name for name in found if not re.search(rf"^#?{name}=", example, re.MULTILINE)] == []


def test_no_secret_stands_in_the_file() -> None:
    """Whatever looks like a password comes from a variable."""
    text = FILE.read_text(encoding="utf-8")
    for line in text.splitlines():
        if re.search(r"(?i)(password|requirepass|://[^/]*:)", line.partition(" #")[0]) and not line.lstrip().startswith(
            "#"
        ):
            assert re.search(r"\$\{?\$?\w+", line), line
    used = yaml.safe_dump(compose_file.read(FILE, SET))
    assert all(SET[name] in used for name in SECRETS)


def _drop(*path: str) -> Callable[[Compose], Any]:
    def change(compose: Compose) -> None:
        *to, last = path
        for key in to:
            compose = compose[key]
        del compose[last]

    return change


def _put(value: Any, *path: str) -> Callable[[Compose], Any]:
    def change(compose: Compose) -> None:
        *to, last = path
        for key in to:
            compose = compose[key]
        compose[last] = value

    return change


BROKEN: dict[str, tuple[Callable[[Compose], Any], str]] = {
    "a key that Compose does not know": (_put("x", "services", "redis", "comand"), "schema: "),
    "a condition that Compose does not know": (
        _put("service_done", "services", "label", "depends_on", "migrate", "condition"),
        "schema: ",
    ),
    "a member is gone": (_drop("services", "intake"), "services are missing: ['intake']"),
    "a command that does not exist": (_put(["worc", "label"], "services", "label", "command"), "names no command"),
    "another member's command": (_put(["work", "intake"], "services", "label", "command"), "label: runs"),
    "a migration misspelt": (_put(["migrat"], "services", "migrate", "command"), "migrate: "),
    "a health check that does not exist": (
        _put(["CMD", "nightread", "work", "label", "--chekc"], "services", "label", "healthcheck", "test"),
        "label: ",
    ),
    "a health check that is always well": (
        _put(["CMD-SHELL", "true"], "services", "redis", "healthcheck", "test"),
        "redis: its health check calls true",
    ),
    "no health check": (_drop("services", "postgres", "healthcheck"), "postgres: no health check"),
    "a port for everybody": (_put(["5432:5432"], "services", "postgres", "ports"), "beyond the loopback"),
    "a port on all addresses": (_put(["0.0.0.0:6379:6379"], "services", "redis", "ports"), "beyond the loopback"),
    "no GPU": (_drop("services", "label", "deploy"), "label: no GPU"),
    "a GPU for nothing": (
        _put({"resources": {"reservations": {"devices": [{"capabilities": ["gpu"]}]}}}, "services", "intake", "deploy"),
        "intake: a GPU",
    ),
    "no append-only file": (_put("requirepass secret-enough", "configs", "redis", "content"), "appendonly"),
    "no password for Redis": (
        _put("appendonly yes\nmaxmemory-policy noeviction\n", "configs", "redis", "content"),
        "redis: no password",
    ),
    "work before the schema": (
        _put("service_started", "services", "scheduler", "depends_on", "migrate", "condition"),
        "scheduler: waits for",
    ),
    "a migration that begins again for ever": (
        _put("unless-stopped", "services", "migrate", "restart"),
        "migrate: restart",
    ),
    "a worker that stays down": (_drop("services", "label", "restart"), "label: restart"),
    "no time to stop": (_drop("services", "label", "stop_grace_period"), "label: no time to stop"),
    "the owner's password for a worker": (
        _put({"NIGHTREAD_OWNER_DATABASE_URL": "postgresql://x"}, "services", "label", "environment"),
        "the owner's password is known to",
    ),
    "data in no volume": (_put(["redis:/dat"], "services", "redis", "volumes"), "redis: its data"),
    "a volume that is not there": (_drop("volumes", "models"), "there is no volume models"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_broken_is_found(broken: str, compose: Compose) -> None:
    change, said = BROKEN[broken]
    changed = copy.deepcopy(compose)
    change(changed)
    found = problems(changed)
    assert any(said in one for one in found), found


def test_variables_are_filled_in_as_compose_does_it() -> None:
    filled = compose_file.filled
    assert filled("$$A ${A} $A ${B:-b} ${B-b} ${A:-b}", {"A": "1"}) == "$A 1 1 b b 1"
    assert filled("${A-x}|${A:-x}", {"A": ""}) == "|x"
    assert filled({"$A": ["${A?why}"]}, {"A": "1"}) == {"$A": ["1"]}
    for text in ("${A}", "$A", "${A?why}", "${A:?why}"):
        with pytest.raises(Unset):
            filled(text, {})


@pytest.mark.parametrize("member", Member)
def test_what_a_member_runs_exists(member: Member) -> None:
    """`nightread work` becomes this command."""
    command = crew.commands(label_workers=2)[member]
    assert refused(command) is None
    if member is not Member.SCHEDULER:
        assert refused([word.replace(member, "nothing") for word in command]) == "there is no queue 'nothing'"
        assert refused([word.replace("worker.app", "worker.ap") for word in command]) is not None
    else:
        assert refused([*command[:-1], "schedule"]) == "there is no module schedule"


# --- the image


def _instructions() -> list[tuple[str, list[str]]]:
    """The Dockerfile's instructions with their words; comments left out, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split()[0], shlex.split(line)[1:]) for line in lines if line.strip()]


def _copied() -> list[str]:
    """What the Dockerfile copies from the checkout."""
    found = [words for name, words in _instructions() if name == "COPY" and not words[0].startswith("--from")]
    return [source for words in found for source in words[:-1]]


def _sent(path: str) -> bool:
    """Whether .dockerignore lets a path into the build: the last line about it or a folder above it decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n"):
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        let_in, pattern = pattern.startswith("!"), pattern.lstrip("!")
        parts = Path(path).parts
        above = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
        loose = pattern.removeprefix("**/")
        if any(fnmatch(one, pattern) or (loose != pattern and fnmatch(Path(one).name, loose)) for one in above):
            sent = let_in
    return sent


def test_the_image_is_made_of_what_the_project_installs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    copied = _copied()
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert {source for source in copied if (ROOT / source).is_dir()} == packages
    assert {source for source in copied if (ROOT / source).is_file()} == {
        "pyproject.toml",
        "constraints.txt",
        project["project"]["readme"],
        *project["project"]["license-files"],
    }


def test_the_build_gets_what_it_copies_and_nothing_else() -> None:
    assert [source for source in _copied() if not _sent(source)] == []
    assert _sent("nightread/pages/report.html")
    kept_out = (".git/config", ".env", ".venv/bin/python", ".nightread/models/a", "tests/conftest.py", "labelled.csv")
    assert [path for path in (*kept_out, "docs/sql.md", "nightread/__pycache__/cli.pyc") if _sent(path)] == []


def test_the_image_runs_as_nobody_in_particular_and_starts_our_program() -> None:
    said = dict(_instructions())
    assert said["USER"] == ["nightread"]
    assert said["ENTRYPOINT"] == ["[nightread]"], "which the commands of docker-compose.yml are arguments of"
    installs = [" ".join(words) for name, words in _instructions() if name == "RUN" and "install" in words]
    assert any("--constraint constraints.txt" in line for line in installs)
    stages = [words for name, words in _instructions() if name == "FROM"]
    assert all(re.fullmatch(r"python:3\.1[1-9]-slim-\w+", words[0]) for words in stages)
    assert len(stages) == 2, "what builds is left behind"
