"""The stored reports as a corpus: current versions only, and never one that was withdrawn."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from pipeline.database import Sessions

_PAGE = 500
_PAGE_OF_TEXTS = text(
    """
    SELECT id, text FROM report
    WHERE is_current AND withdrawn_at IS NULL AND id > :after
    ORDER BY id LIMIT :page
    """
)
_COUNTS = text(
    """
    SELECT language, count(*) AS reports, sum(octet_length(text)) AS bytes FROM report
    WHERE is_current AND withdrawn_at IS NULL
    GROUP BY language ORDER BY language
    """
)


@dataclass(frozen=True)
class LanguageCount:
    """Reports of one language."""

    language: str
    reports: int
    text_bytes: int


def counts(session: Session) -> list[LanguageCount]:
    """How much there is, by language."""
    return [LanguageCount(row.language, row.reports, int(row.bytes)) for row in session.execute(_COUNTS)]


def texts(sessions: Sessions) -> Iterator[str]:
    """All texts, oldest first, page by page: no transaction stays open while somebody works on them."""
    after = 0
    while True:
        with sessions.begin() as session:
            page = session.execute(_PAGE_OF_TEXTS, {"after": after, "page": _PAGE}).all()
        yield from (row.text for row in page)
        if len(page) < _PAGE:
            return
        after = page[-1].id
