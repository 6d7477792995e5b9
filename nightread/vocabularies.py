"""Making a vocabulary from corpora, and judging it on text that it was not made from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from models import artifacts, fertility, vocabulary
from models.fertility import Fertility
from models.foundations import save_tokenizer
from models.vocabulary import Vocabulary
from nightread import corpora
from nightread.console import Tracker
from pipeline.language import language
from pipeline.settings import Settings

# One document in fifty is held out, by a hash of its text, until there are enough to judge by.
_HELD_OUT = 50
_MOST_HELD_OUT = 2_000


@dataclass(frozen=True)
class Made:
    """A vocabulary in its folder, its sha256, and how it cuts held-out text, by language (`ko`, `en`, `mixed`)."""

    vocabulary: Vocabulary
    sha256: str
    held_out: dict[str, Fertility]


def make(settings: Settings, names: Sequence[str], size: int, out: Path, shown: Tracker) -> Made:
    """Train a vocabulary of `size` pieces on these corpora and write its tokenizer to the folder `out`.

    Raises CorpusError, VocabularyError or ArtifactError, and then leaves nothing behind.
    """
    artifacts.refuse_used(out)
    corpora.require(settings, names)
    held_out: dict[str, list[str]] = {}

    def training() -> Iterator[str]:
        held = 0
        for count, text in enumerate(corpora.texts(settings, names), 1):
            shown.update(count, note="documents")
            if held < _MOST_HELD_OUT and crc32(text.encode()) % _HELD_OUT == 0:
                held_out.setdefault(language(text), []).append(text)
                held += 1
            else:
                yield text

    built = vocabulary.build(training(), size)
    with artifacts.writing(out) as part:
        save_tokenizer(built.tokenizer, part)
    judged = {spoken: fertility.measure(built.tokenizer, texts) for spoken, texts in sorted(held_out.items())}
    return Made(built, artifacts.verify(out), judged)
