"""docs/operations.md, command by command and in its order, on a hospital's own PostgreSQL and Redis over TCP."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import console_blocks
import pytest
import systemd_units
from command_lines import refused
from console_blocks import Command
from dotenv import dotenv_values
from hospital import ROOT, Hospital, hospital, programs, without_nightread
from systemd_units import Units

from nightread import made_up

DOCUMENT = ROOT / "docs" / "operations.md"
UNIT = ROOT / "deploy" / "nightread@.service"
# What the marks of a block mean: run it in the shell, as systemd would on a machine, or only look whether it exists.
RUN, SYSTEMD, CHECKED = "", "systemd", ("install", "docker")
HERE = "here"
MARK = "--- done"


class Shell:
    """One bash for all commands, so that what one exports the next one has."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.bash = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=environment,
            text=True,
            encoding="utf-8",
        )

    def run(self, command: str) -> tuple[int, str]:
        """Exit status and output. A command reads nothing: the shell's own input are the commands after it."""
        assert self.bash.stdin is not None
        assert self.bash.stdout is not None
        self.bash.stdin.write(f'{{ {command}\n}} < /dev/null; printf "\\n{MARK} %s\\n" $?\n')
        self.bash.stdin.flush()
        output = []
        for line in self.bash.stdout:
            if line.startswith(MARK):
                return int(line[len(MARK) :]), "".join(output)
            output.append(line)
        raise AssertionError(f"the shell ended at: {command}\n{''.join(output)}")

    def close(self) -> None:
        self.bash.kill()
        self.bash.communicate()


def places(folder: Path, old: Hospital, new: Hospital, foundation: Path) -> dict[str, str]:
    """What the test puts in place of the document's hosts, folders and files."""
    return {
        "db.example.org:5432": old.postgres,
        "redis.example.org:6379": old.redis,
        "new-db.example.org:5432": new.postgres,
        "new-redis.example.org:6379": new.redis,
        "/root/redis-password": str(folder / "redis-password"),
        "/root/new-redis-password": str(folder / "new-redis-password"),
        "/opt/nightread/bin": str(folder / "bin"),
        "/etc/nightread": str(folder / "etc"),
        "/etc/systemd/system": str(folder / "units"),
        "/srv/nightread": str(folder / "srv" / "nightread"),
        "/srv/new-nightread": str(folder / "srv" / "new-nightread"),
        "/srv/old-nightread": str(folder / "srv" / "old-nightread"),
        "/backup": str(folder / "backup"),
        "/mnt/fhir-export": str(folder / "export"),
        "/models/km-bert": str(foundation),
        "labelled.csv": str(folder / "labelled.csv"),
    }


@pytest.fixture
def site(tmp_path: Path, tiny_artifact: tuple[Path, str]) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """A hospital with all that the document takes as given: the table of places, and the shell's environment."""
    with hospital() as old, hospital() as new:
        (tmp_path / "redis-password").write_text(old.redis_password)
        (tmp_path / "new-redis-password").write_text(new.redis_password)
        pgpass = tmp_path / "pgpass"
        pgpass.write_text(old.pgpass + new.pgpass)
        pgpass.chmod(0o600)
        for made in ("units", "srv"):
            (tmp_path / made).mkdir()
        made_up.write_fhir(made_up.reports(12, seed=1), tmp_path / "export", every_outcome=True)
        made_up.write_annotations(made_up.reports(30, seed=2), tmp_path / "labelled.csv")
        path = f"{programs(tmp_path / 'bin')}:/usr/local/bin:/usr/bin:/bin"
        environment = without_nightread() | {"PGPASSFILE": str(pgpass), "PATH": path, "LC_ALL": "C.UTF-8"}
        yield places(tmp_path, old, new, tiny_artifact[0].parent / "foundation"), environment


def placing(table: dict[str, str]) -> Callable[[str], str]:
    """The longest name first, so that no name is taken for another's beginning."""
    names = "|".join(map(re.escape, sorted(table, key=len, reverse=True)))
    return lambda text: re.sub(names, lambda found: table[found[0]], text)


def test_every_command_does_what_the_document_says(site: tuple[dict[str, str], dict[str, str]], tmp_path: Path) -> None:
    table, environment = site
    placed = placing(table)
    shell = Shell(environment)
    machines: dict[str, Units] = {}
    try:
        for command in console_blocks.commands(DOCUMENT):
            mark, _, machine = command.mark.partition(" on ")
            if mark in CHECKED:
                continue
            words = shlex.split(placed(command.text)) if mark == SYSTEMD else []
            if words[:1] == ["systemctl"]:
                here = machines.setdefault(
                    machine or HERE,
                    Units(
                        Path(table["/etc/systemd/system"]), tmp_path / f"logs-{machine}", placed, environment["PATH"]
                    ),
                )
                here.systemctl(words[1:])
            else:
                status, output = shell.run(placed(command.text))
                died = [one for units in machines.values() for one in units.died()]
                assert status == 0, f"{_named(command)} ended with {status}\n{output}\n{died}"
                assert command.printed(output), f"{_named(command)} printed something else:\n{output}"
                assert not died, f"after {_named(command)}: {died}"
        _look_afterwards(table, placed)
    finally:
        shell.close()
        for units in machines.values():
            units.kill()


def _look_afterwards(table: dict[str, str], placed: Callable[[str], str]) -> None:
    """The restored house holds what the old one held: all reports, all but the withdrawn one labelled. And the sandbox
    of the services lets them write where they are told to.
    """
    service = systemd_units.read(UNIT)["Service"]
    told = dotenv_values(placed(service["EnvironmentFile"]))
    writable = [Path(placed(folder)) for folder in service["ReadWritePaths"].split()]
    for name in ("NIGHTREAD_HOME", "NIGHTREAD_MODELS_DIR"):
        assert any(Path(told[name] or "").is_relative_to(folder) for folder in writable), name
    before, after = ((Path(table["/backup"]) / name).read_text() for name in ("before.csv", "after.csv"))
    assert before == after
    _, received, labelled, pending, dead, withdrawn, stale = before.splitlines()[1].split(",")
    assert int(received) == int(labelled) + int(withdrawn) > int(labelled) > 0
    assert (pending, dead, stale) == ("0", "0", "0")


def _named(command: Command) -> str:
    return f"{DOCUMENT.name}:{command.line} `{command.text}`"


@pytest.mark.parametrize(
    "command",
    console_blocks.commands(DOCUMENT),
    ids=lambda command: f"{command.line}",
)
def test_what_it_calls_exists(command: Command) -> None:
    """Of all commands, those that are not run included."""
    mark = command.mark.partition(" on ")[0]
    assert mark in (RUN, SYSTEMD, *CHECKED), f"{_named(command)}: nobody knows what {mark!r} means"
    for words in _calls(command.text):
        assert (why := _refused(words)) is None, f"{_named(command)}: {why}"


def _calls(text: str) -> Iterator[list[str]]:
    """The programs that a line calls, without the variables set before them and without redirections."""
    for part in re.split("; ", text.splitlines()[0]):
        words = shlex.split(re.sub(r"<<.*|>.*", "", part))
        while words and re.match(r"[A-Z_]+=", words[0]):
            words = words[1:]
        if words:
            yield words


def _refused(words: list[str]) -> str | None:
    match words:
        case ["nightread", *_]:
            return refused(words)
        case ["docker", "compose", *rest]:
            return _compose(rest)
        case [program, *_]:
            known = program in KNOWN or shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
            return None if known else f"there is no program {program}"
    return None


# What comes with the shell, with PostgreSQL and Redis, with the new environment; and what starts the services.
KNOWN = {
    *("export", "set", ".", "psql", "pg_dump", "pg_dumpall", "pg_restore", "redis-cli"),
    *("python3.11", "/opt/nightread/bin/pip", "systemctl"),
}
COMPOSE = {"config", "build", "up", "ps", "run", "exec", "cp"}


def _compose(words: list[str]) -> str | None:
    """Sub-commands of Compose, and what they run in a service."""
    name, *rest = words
    if name not in COMPOSE:
        return f"docker compose has no {name}, or nobody has looked"
    while rest and rest[0].startswith("--"):
        rest = rest[2:] if rest[0] == "--volume" else rest[1:]
    match name, rest:
        case "run", [_, *command]:
            return refused(["nightread", *command])
        case "exec", [_, "nightread", *command]:
            return refused(["nightread", *command])
    return None


def test_the_unit_file_is_one_that_systemd_understands() -> None:
    unit = systemd_units.read(UNIT)
    assert unit.sections() == ["Unit", "Service", "Install"]
    service = unit["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert program == "/opt/nightread/bin/nightread"
    for member in ("scheduler", "intake", "label", "training"):
        assert refused(["nightread", *(word.replace("%i", member) for word in words)]) is None
    assert service["EnvironmentFile"] in DOCUMENT.read_text(encoding="utf-8")
    assert service["User"] == "nightread"
    if verify := shutil.which("systemd-analyze"):
        said = subprocess.run([verify, "verify", str(UNIT)], capture_output=True, text=True, check=False)
        wrong = [line for line in said.stderr.splitlines() if UNIT.name in line and "not executable" not in line]
        assert not wrong, wrong


def test_a_command_that_does_not_exist_is_found() -> None:
    for words in (["nightread", "satus"], ["nightread", "work", "labels"], ["docker", "compose", "uq"], ["frobnicate"]):
        assert _refused(words) is not None
    assert _refused(["docker", "compose", "run", "--rm", "training", "trian"]) is not None


def test_what_a_command_prints_is_compared() -> None:
    command = Command(1, RUN, "true", ("database schema: empty → …", "second"))
    assert command.printed("x\ndatabase schema: empty → 0003\nsecond\n")
    assert not command.printed("database schema: at head\nsecond\n")
    assert not command.printed("database schema: empty → 0003\n")
