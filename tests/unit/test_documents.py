"""What the documents, the Makefile and the commit hooks name exists."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = dict(re.findall(r"^([a-z-]+):.*?(?:## (.*))?$", MAKEFILE, re.MULTILINE))
PICTURES = {"flowchart", "stateDiagram-v2"}


def anchors(document: Path) -> set[str]:
    """The anchors that a forge makes of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(document: Path, text: str) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        place = (document.parent / name) if name else document
        if not place.exists() or (anchor and anchor not in anchors(place)):
            yield target


def missing_files(text: str) -> Iterator[str]:
    """Files of the repository that stand in backticks, with a folder before them."""
    rooms = "nightread|pipeline|models|worker|scheduler|migrations|tests|docs|deploy|benchmarks"
    for name in re.findall(rf"`((?:{rooms})/[\w./@-]*\w\.(?:py|md|sql|yml|service))`", text):
        if not (ROOT / name).is_file():
            yield name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_files_and_targets_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert list(dead_links(document, text)) == []
    assert list(missing_files(text)) == []
    assert (
        set(re.findall(r"`(?:\$ )?make ([a-z-]+)", text)) | set(re.findall(r"^\$ make ([a-z-]+)", text, re.MULTILINE))
        <= TARGETS.keys()
    )


def test_what_is_missing_is_found() -> None:
    document = ROOT / "README.md"
    text = "[a](docs/nowhere.md) [b](docs/operations.md#nowhere) [c](docs/operations.md#backup) `pipeline/nowhere.py`"
    assert list(dead_links(document, text)) == ["docs/nowhere.md", "docs/operations.md#nowhere"]
    assert list(missing_files(text)) == ["pipeline/nowhere.py"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_pictures_are_whole(document: Path) -> None:
    """A renderer says more; this finds a bracket or a subgraph that nobody closed."""
    for picture in re.findall(
        r"^```mermaid\n(.*?)^```$", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        assert picture.split()[0] in PICTURES
        bare = re.sub(r'"[^"\n]*"', "", picture)
        assert '"' not in bare
        assert all(bare.count(left) == bare.count(right) for left, right in ("()", "[]", "{}")), picture
        assert len(re.findall(r"^\s*subgraph ", bare, re.MULTILINE)) == len(re.findall(r"^\s*end$", bare, re.MULTILINE))


def test_make_help_lists_every_target() -> None:
    assert [name for name, says in TARGETS.items() if not says] == []
    # Under `make test` this is a make within a make, which would say so.
    quiet = ["make", "--no-print-directory", "help"]
    said = subprocess.run(quiet, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in said.splitlines()} == TARGETS.keys()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert set(phony.split()) == TARGETS.keys()


def test_commit_hooks_run_what_make_runs_from_the_environment() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local", "another one would be fetched"
    called = [hook["entry"].split() for hook in repository["hooks"]]
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    of_make = {
        line.rstrip(" .")
        for line in re.findall(r"^\t\$\(BIN\)/((?:ruff|mypy|lint-imports).*)$", MAKEFILE, re.MULTILINE)
    }
    for program, *options in called:
        assert program.startswith(".venv/bin/")
        name = program.removeprefix(".venv/bin/")
        assert (Path(sys.executable).parent / name).is_file()
        assert " ".join([name, *options]) in of_make
