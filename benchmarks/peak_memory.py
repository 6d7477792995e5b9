"""The most memory that a program of this folder needs for one thing, measured in a process that does nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

from nightread.house import House


def measured_apart(program: str, folder: Path, house: House) -> dict[str, float]:
    """What `program --measure folder` prints in JSON, run in the environment of a house."""
    done = subprocess.run(
        [sys.executable, program, "--measure", str(folder)],
        env={**os.environ, **house.environment()},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def peak_mb() -> float:
    """Not `ru_maxrss`, which a process inherits from the one that started it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6
