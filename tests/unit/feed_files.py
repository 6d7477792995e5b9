"""The files of a feed as tests write them, and what came of them."""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.feeds.record import Item, Reader, Record


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


def one_at_a_time(opened: Callable[[dict[str, Any]], Reader]) -> list[Item]:
    """All items of a feed, each by a reader of its own that goes on from the last one's cursor."""
    items: list[Item] = []
    cursor: dict[str, Any] = {}
    while True:
        reader = opened(cursor)
        first = next(iter(reader), None)
        cursor = json.loads(json.dumps(reader.cursor()))
        if first is None:
            return items
        items.append(first)
