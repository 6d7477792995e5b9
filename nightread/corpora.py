"""Corpora: text to learn language from, cleaned once and kept as files in HOME/corpora. The stored reports are one too.

A corpus is a folder: `text-NNNN.txt` with a paragraph on each line and an empty line between documents, `corpus.json`
with what is in it and what was left out, and the manifest with every file's sha256.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

from models import artifacts
from models.corpus_text import Cleaner, Dropped
from nightread import corpus_files
from nightread.corpus_files import CorpusError, Fault
from nightread.house import House, opened
from pipeline import identifying, report_texts
from pipeline.language import language as language_of
from pipeline.names import Language
from pipeline.settings import Settings

# The name of the corpus that is the database's reports.
REPORTS = "reports"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_DESCRIPTION = "corpus.json"
_REMOVED = ".removed"
_SHARD_BYTES = 64 << 20
_MOST_PLACES = 100
# A line here and there may be spoilt; where so many are, it is the encoding that is not the one named.
_SPOILT = 0.1
_BETWEEN_UPDATES = 200


class Kind(StrEnum):
    """What a corpus may be said to be."""

    TEXTBOOK = "textbook"
    ARTICLE = "article"
    EHR = "ehr"
    GENERAL = "general"


@dataclass
class Share:
    """Documents in one language (`ko`, `en`, `mixed`), told by their letters."""

    documents: int = 0
    text_bytes: int = 0


@dataclass
class Corpus:
    """What is in a corpus, and what was left out of it."""

    name: str
    language: str | None = None  # as was said
    kind: str | None = None
    documents: int = 0
    lines: int = 0
    text_bytes: int = 0
    shares: dict[str, Share] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)  # lines by reason
    places: list[str] = field(default_factory=list)  # file and line of what could not be read; the first hundred
    sources: list[str] = field(default_factory=list)

    def share(self, language: str) -> float:
        """Of the bytes."""
        return (
            self.shares[language].text_bytes / self.text_bytes if language in self.shares and self.text_bytes else 0.0
        )

    def count(self, language: str, *, documents: int, text_bytes: int) -> None:
        one = self.shares.setdefault(language, Share())
        one.documents += documents
        one.text_bytes += text_bytes
        self.documents += documents
        self.text_bytes += text_bytes


def add(
    settings: Settings,
    name: str,
    files: Sequence[Path],
    *,
    language: Language | None = None,
    kind: Kind | None = None,
    column: str = "text",
    encoding: str = "utf-8",
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Corpus:
    """Clean `files` and keep what is left as corpus `name`, whole or not at all.

    `on_progress` hears how many bytes of how many are read. Of a corpus of kind `ehr`, documents that hold identifying
    data are left out. Raises CorpusError if the name cannot be used, if the corpus is there already, if a file cannot
    be read, or if nothing is left.
    """
    if not _NAME.fullmatch(name) or name == REPORTS:
        raise CorpusError(
            f"a corpus cannot be named {name!r}; take small letters, digits, - and _, and not {REPORTS!r}, which are "
            "the stored reports"
        )
    folder = _folder(settings) / name
    if folder.exists():
        raise CorpusError(
            f"there is a corpus {name!r} already; take another name, or first remove it with `nightread corpus remove`"
        )
    for path in files:
        if not path.is_file():
            raise CorpusError(f"there is no file {path}")
    corpus = Corpus(name, language, kind, sources=[path.name for path in files])
    cleaner = Cleaner()
    with artifacts.writing(folder) as part:
        part.chmod(0o700)
        with _Shards(part) as shards:
            for text in _documents(corpus, cleaner, files, column, encoding, on_progress):
                if kind is Kind.EHR and identifying.kinds(text):
                    cleaner.dropped[Dropped.IDENTIFYING] += text.count("\n") + 1
                    continue
                shards.write(text)
                corpus.count(language_of(text), documents=1, text_bytes=len(text.encode()))
                corpus.lines += text.count("\n") + 1
        corpus.dropped = {str(reason): cleaner.dropped[reason] for reason in Dropped if cleaner.dropped[reason]}
        if not corpus.documents:
            why = ", ".join(f"{count} {reason}" for reason, count in corpus.dropped.items()) or "the files are empty"
            raise CorpusError(f"nothing is left for corpus {name!r} ({why}); give files with text in them")
        _write(part / _DESCRIPTION, json.dumps(asdict(corpus), ensure_ascii=False, indent=2))
    (folder / artifacts.MANIFEST).chmod(0o600)
    return corpus


def listed(settings: Settings) -> list[Corpus]:
    """The corpora that are files, by name."""
    found = sorted(path for path in _folder(settings).glob(f"*/{_DESCRIPTION}") if _NAME.fullmatch(path.parent.name))
    return [_described(path.parent) for path in found]


def described(settings: Settings, name: str) -> str:
    """What removing a corpus would lose, in words. Raises CorpusError if there is no such corpus."""
    folder = _there(settings, name)
    try:
        found = _described(folder)
    except CorpusError:
        return f"{folder}, which cannot be read"
    return f"{found.documents:,} documents, {found.text_bytes / 1e6:.1f} MB, from {', '.join(found.sources)}"


def remove(settings: Settings, name: str) -> None:
    """Delete a corpus, also one that cannot be read, whole: killed midway it is gone, and the next removal deletes
    what is left of its files. Raises CorpusError if there is no such corpus or its files cannot be deleted.
    """
    removed = _folder(settings) / f".{name}.{uuid4().hex}{_REMOVED}"
    try:
        _there(settings, name).rename(removed)
        for left in _folder(settings).glob(f".*{_REMOVED}"):
            shutil.rmtree(left)
    except OSError as error:
        raise CorpusError(
            f"the files of corpus {name!r} cannot be deleted: {error.strerror}: {error.filename}"
        ) from None


def of_reports(house: House) -> Corpus:
    """The stored reports as a corpus; what repeats among them is left out only when they are read."""
    corpus = Corpus(REPORTS, kind=Kind.EHR)
    with house.sessions.begin() as session:
        for count in report_texts.counts(session):
            corpus.count(count.language, documents=count.reports, text_bytes=count.text_bytes)
    return corpus


def texts(settings: Settings, names: Sequence[str]) -> Iterator[str]:
    """The documents of these corpora, one after the other, always in the same order; a paragraph on each line.

    Every file is held against its manifest before its corpus is read. For `reports` the house is opened, for as long
    as that takes; they are cleaned as files are. Raises CorpusError if there is no such corpus or if it is empty,
    ArtifactError if it is not as it was written.
    """
    require(settings, names)
    for name in dict.fromkeys(names):
        empty = True
        for text in _reports(settings) if name == REPORTS else _stored(_folder(settings) / name):
            empty = False
            yield text
        if empty:
            raise CorpusError(f"corpus {name!r} is empty; pull reports first, or name another corpus")


def require(settings: Settings, names: Sequence[str]) -> None:
    """Raises CorpusError unless there are corpora of all these names; asked before long work."""
    there = {corpus.name for corpus in listed(settings)} | {REPORTS}
    for name in names:
        if name not in there:
            raise CorpusError(
                f"there is no corpus {name!r}; add it with `nightread corpus add`, or name one of: "
                f"{', '.join(sorted(there))}"
            )


def _documents(
    corpus: Corpus,
    cleaner: Cleaner,
    files: Sequence[Path],
    column: str,
    encoding: str,
    on_progress: Callable[[int, int], None],
) -> Iterator[str]:
    total = sum(path.stat().st_size for path in files)
    before = 0
    for path in files:
        reasons: Counter[Dropped] = Counter()
        places: list[str] = []
        read = 0
        with path.open("rb") as stream:
            for read, item in enumerate(corpus_files.read(path, stream, column=column, encoding=encoding), 1):
                if read % _BETWEEN_UPDATES == 0:
                    on_progress(before + stream.tell(), total)
                if isinstance(item, Fault):
                    reasons[item.reason] += 1
                    places += [f"{item.place}: {item.reason}"][: _MOST_PLACES - len(places)]
                elif (text := cleaner.clean(item.text)) is not None:
                    yield text
        if reasons[Dropped.UNDECODABLE] > _SPOILT * read:
            raise CorpusError(
                f"{path} is not {encoding}: {reasons[Dropped.UNDECODABLE]} of its lines are no text in it, from "
                f"{places[0].rpartition(': ')[0]} on; say what it is with --encoding, e.g. cp949"
            )
        cleaner.dropped.update(reasons)
        corpus.places += places[: _MOST_PLACES - len(corpus.places)]
        before += path.stat().st_size
        on_progress(before, total)


def _reports(settings: Settings) -> Iterator[str]:
    cleaner = Cleaner()
    with opened(settings) as house:
        for text in map(cleaner.clean, report_texts.texts(house.sessions)):
            if text is not None:
                yield text


def _stored(folder: Path) -> Iterator[str]:
    artifacts.verify(folder)
    for shard in sorted(folder.glob("text-*.txt")):
        lines: list[str] = []
        with shard.open(encoding="utf-8", newline="\n") as stream:
            for line in stream:
                if line != "\n":
                    lines.append(line.rstrip("\n"))
                elif lines:
                    yield "\n".join(lines)
                    lines.clear()


def _there(settings: Settings, name: str) -> Path:
    """The folder of a corpus that is files."""
    if name == REPORTS:
        raise CorpusError(
            f"the corpus {REPORTS!r} is the stored reports; they leave it when the source system withdraws them"
        )
    folder = _folder(settings) / name
    if not _NAME.fullmatch(name) or not folder.is_dir():
        there = sorted(path.name for path in _folder(settings).glob("*") if _NAME.fullmatch(path.name))
        raise CorpusError(f"there is no corpus {name!r} of files; there are: {', '.join(there) or 'none'}")
    return folder


def _described(folder: Path) -> Corpus:
    try:
        found = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
        shares = {language: Share(**share) for language, share in found.pop("shares").items()}
        return Corpus(**found, shares=shares)
    except (OSError, ValueError, TypeError, KeyError):
        raise CorpusError(
            f"{folder / _DESCRIPTION} cannot be read; `nightread corpus remove {folder.name}`, then add it anew"
        ) from None


class _Shards(ExitStack):
    """Writes documents to files of some 64 MiB that only their owner reads."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder, self._number, self._room = folder, 0, 0

    def write(self, text: str) -> None:
        if self._room <= 0:
            self.close()
            path = self._folder / f"text-{self._number:04}.txt"
            path.touch(mode=0o600)
            self._stream = self.enter_context(path.open("w", encoding="utf-8", newline="\n"))
            self._number, self._room = self._number + 1, _SHARD_BYTES
        self._room -= self._stream.write(f"{text}\n\n")


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _folder(settings: Settings) -> Path:
    return settings.home / "corpora"
