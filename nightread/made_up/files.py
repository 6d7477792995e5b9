"""Files that appear whole or not at all."""

from pathlib import Path


def write_if_changed(path: Path, content: str) -> None:
    """A file that holds exactly this keeps its time, so that a feed is not read again; parents are made."""
    raw = content.encode()
    if path.is_file() and path.read_bytes() == raw:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.part")  # hidden: a feed reader must not see it
    half.write_bytes(raw)
    half.replace(path)
