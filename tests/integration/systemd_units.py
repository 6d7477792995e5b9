"""Services of a systemd unit file without systemd: started, stopped and restarted as the file says."""

import configparser
import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values


def read(file: Path) -> configparser.ConfigParser:
    """A unit file; configparser's strictness refuses a key that stands there twice."""
    unit = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#", ";"))
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(file.read_text(encoding="utf-8"))
    return unit


@dataclass
class Units:
    """The services of one machine. `placed` puts the test's folders in place of the unit file's."""

    folder: Path
    logs: Path
    placed: Callable[[str], str]
    search_path: str
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def systemctl(self, words: list[str]) -> None:
        """`systemctl` with the words that follow it."""
        match words:
            case ["daemon-reload"]:
                pass
            case ["start", *names] | ["enable", "--now", *names]:
                for name in names:
                    self.start(name)
            case ["stop", *names]:
                self.stop(names)
            case ["restart", *names]:
                self.stop(names)
                for name in names:
                    self.start(name)
            case _:
                raise ValueError(f"systemctl {shlex.join(words)} is not known here")

    def start(self, name: str) -> None:
        assert name not in self.running, f"{name} runs already"
        template, _, instance = name.partition("@")
        service = read(self.folder / f"{template}@.service")["Service"]
        command = shlex.split(self.placed(service["ExecStart"].replace("%i", instance)))
        variables = {key: value or "" for key, value in dotenv_values(self.placed(service["EnvironmentFile"])).items()}
        self.logs.mkdir(exist_ok=True)
        with (self.logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command,
                cwd=self.placed(service["WorkingDirectory"]),
                # No more than systemd gives: what a service needs stands in its file. (But for our tests' threads.)
                env={"PATH": self.search_path, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")} | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self, names: list[str]) -> None:
        """SIGTERM to the main process alone (KillMode=mixed), and SIGKILL to all that is left when time is up."""
        stopping = {name: self.running.pop(name) for name in names}
        for process in stopping.values():
            process.terminate()
        for name, process in stopping.items():
            service = read(self.folder / f"{name.partition('@')[0]}@.service")["Service"]
            assert service["KillMode"] == "mixed"
            try:
                status = process.wait(float(service["TimeoutStopSec"]))
                # By the signal itself where it had hardly begun; to systemd, too, that is a clean end.
                assert status in {0, -signal.SIGTERM}, f"{name} ended with {status}\n{self.log(name)}"
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{name} does not end in time\n{self.log(name)}") from None
            finally:
                with contextlib.suppress(ProcessLookupError):  # as it should be: all have ended
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def log(self, name: str) -> str:
        return (self.logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def died(self) -> list[str]:
        """Services that ended by themselves, with the end of their logs."""
        return [
            f"{name} ended with {process.returncode}:\n{self.log(name)[-2000:]}"
            for name, process in self.running.items()
            if process.poll() is not None
        ]

    def kill(self) -> None:
        for process in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.running.clear()
