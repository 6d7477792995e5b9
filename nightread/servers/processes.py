"""The servers' processes, known by their name and a mark on their command line, never by a stored process id.

A process id may have passed to another process since (a reboot, a container). Their working folder would tell
too, but root in a container may not read it (that takes CAP_SYS_PTRACE); a command line anyone may read.
"""

import hashlib
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil


def mark_of(folder: Path) -> str:
    """What the processes of `folder` carry: the same when it is moved, another for a copy of it."""
    found = folder.stat()
    return "nightread-" + hashlib.sha256(f"{found.st_dev} {found.st_ino}".encode()).hexdigest()[:16]


def marked(mark: str, *names: str) -> list[psutil.Process]:
    """Living processes called one of `names` that carry `mark`."""
    return [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] in names and mark in " ".join(process.info["cmdline"] or [])
    ]


def wait_for(processes: Sequence[psutil.Process], patience_s: float) -> list[psutil.Process]:
    """Wait until they have ended; those that have not in time.

    A zombie has ended: many containers have a first process that never buries the dead.
    """
    deadline = time.monotonic() + patience_s
    while alive := [process for process in processes if _is_alive(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return alive


def end(processes: Sequence[psutil.Process], politely: signal.Signals, patience_s: float = 10) -> None:
    """`politely` first, then SIGKILL; returns when all are gone."""
    for process in processes:
        _send(process, politely)
    for process in wait_for(processes, patience_s):
        _send(process, signal.SIGKILL)
    wait_for(processes, patience_s)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _send(process: psutil.Process, which: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(which)
