"""The files of a feed as tests write them, and what came of them."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.feeds.record import Item, Record


def write(folder: Path, name: str, content: str | bytes, *, age: float = 60) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    os.utime(path, (time.time() - age,) * 2)
    return path


def append(path: Path, content: str | bytes, *, age: float = 60) -> None:
    with path.open("ab") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    os.utime(path, (time.time() - age,) * 2)


def ids(items: Sequence[Item]) -> list[str]:
    return [item.source_id for item in items if isinstance(item, Record)]
