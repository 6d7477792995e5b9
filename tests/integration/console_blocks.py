"""The console blocks of a document: their marks, their commands, and what these are said to print."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

_BLOCK = re.compile(r"^```console *(?P<mark>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_HERE_DOCUMENT = re.compile(r"<<-?'?(\w+)'?")


@dataclass(frozen=True)
class Command:
    """What follows a `$ `, with its here-document; `prints`: the lines below, in which … stands for anything."""

    line: int
    mark: str
    text: str
    prints: tuple[str, ...]

    def printed(self, output: str) -> bool:
        """Whether the lines that it is said to print are what it printed; none are said: anything."""
        said, lines = list(self.prints), output.splitlines()
        return not said or any(
            all(fnmatchcase(line, _pattern(one)) for line, one in zip(lines[start:], said, strict=False))
            for start in range(len(lines) - len(said) + 1)
        )


def commands(document: Path) -> list[Command]:
    """All of them, in their order."""
    text = document.read_text(encoding="utf-8")
    found = []
    for block in _BLOCK.finditer(text):
        first = text.count("\n", 0, block.start("body")) + 1
        found += _commands(block["body"].splitlines(), block["mark"].strip(), first)
    return found


def _commands(lines: list[str], mark: str, first: int) -> list[Command]:
    found = []
    at = 0
    while at < len(lines):
        if not lines[at].startswith("$ "):
            raise ValueError(f"line {first + at} is no command: {lines[at]}")
        begun, text = at, [lines[at][2:]]
        at += 1
        if here := _HERE_DOCUMENT.search(text[0]):
            while text[-1] != here[1]:
                text.append(lines[at])
                at += 1
        prints = []
        while at < len(lines) and not lines[at].startswith("$ "):
            prints.append(lines[at])
            at += 1
        found.append(Command(first + begun, mark, "\n".join(text), tuple(prints)))
    return found


def _pattern(said: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", said).replace("…", "*")
