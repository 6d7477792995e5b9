"""The generated passwords: one 0600 file in the home, written before anything is made with them."""

import json
import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from nightread.servers.errors import ServersError
from nightread.servers.place import sync_folder
from pipeline.names import Role

log = logging.getLogger("nightread.servers")

NAMES = ("postgres", *Role, "redis")


def known(path: Path) -> dict[str, str]:
    """The passwords in the file; none if it does not exist yet."""
    try:
        passwords = json.loads(path.read_text(encoding="utf-8"))
        if path.stat().st_mode & 0o077:
            log.warning("%s was readable by others; now by you alone", path)
            path.chmod(0o600)
    except FileNotFoundError:
        return {}
    except PermissionError:
        raise ServersError(f"cannot read {path}: it is of the user who first started Nightread there") from None
    except ValueError:
        passwords = None
    if not isinstance(passwords, dict) or not all(isinstance(value, str) for value in passwords.values()):
        raise ServersError(f"{path} is not a file of passwords; restore it from a backup")
    return passwords


def complete(path: Path, passwords: Mapping[str, str], *, data: Path) -> dict[str, str]:
    """`passwords` with one for every name, on disk before it is returned.

    Raises ServersError if `data` was made with passwords that are lost.
    """
    if not passwords and data.exists():
        raise ServersError(f"{path} is missing; restore it from a backup, for {data} was made with its passwords")
    # Hexadecimal stands in a URL, in SQL and in a Redis configuration without quoting.
    whole = {name: passwords.get(name) or secrets.token_hex(24) for name in NAMES}
    if whole != passwords:
        _write(path, json.dumps(whole, indent=2) + "\n")
    return whole


def _write(path: Path, text: str) -> None:
    """All or nothing, and private from its first byte; under the change lock, so there is one writer."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync_folder(path.parent)
