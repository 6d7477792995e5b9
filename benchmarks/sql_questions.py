"""The data team's questions, read from `docs/sql.md`, where alone they are written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.errors import NightreadError
from pipeline.names import Role

PAGE = Path(__file__).parent.parent / "docs" / "sql.md"

# What stands in the queries for the asker's own day, finding and report.
DAY, FINDING, REPORT = "DATE '2026-03-04'", "'pleural_effusion'", "report_id = 17"

_HEADING = re.compile(r"^## (\d+)\. (.+)$", re.MULTILINE)
_ROLE = re.compile(r"^Role: `(\w+)`, `nightread sql --role (\w+) \"…\"`\. About: ([\w ]+)\.$", re.MULTILINE)
_BLOCK = re.compile(r"^```sql\n(.+?)^```$", re.MULTILINE | re.DOTALL)


class About(StrEnum):
    """How much a question looks at. The first three are to be answered within a tenth of a second."""

    DAY = "one day"
    FINDING = "one finding"
    REPORT = "one report"
    MONTH = "one month"
    HOUSE = "the whole house"


QUICK = (About.DAY, About.FINDING, About.REPORT)


class UnreadableQuestion(NightreadError):
    """A question of the page lacks something that whoever asks it needs."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question: the role it is asked under, how much it looks at, and the query."""

    number: int
    title: str
    role: Role
    about: About
    query: str

    def of(self, *, day: str, finding: str, report_id: int) -> str:
        """The query about another day (as 2026-03-04), finding (its column in report_labels) and report."""
        return (
            self.query.replace(DAY, f"DATE '{day}'")
            .replace(FINDING, f"'{finding}'")
            .replace(REPORT, f"report_id = {report_id}")
        )


def read(page: str) -> Sequence[Question]:
    """The questions of a page of Markdown. Raises `UnreadableQuestion`, naming the one that is not whole."""
    headings = list(_HEADING.finditer(page))
    ends = [*(one.start() for one in headings[1:]), len(page)]
    return [
        _question(int(heading[1]), heading[2], page[heading.end() : end])
        for heading, end in zip(headings, ends, strict=True)
    ]


def _question(number: int, title: str, section: str) -> Question:
    roles, blocks = _ROLE.findall(section), _BLOCK.findall(section)
    if len(roles) != 1 or len(blocks) != 1:
        raise UnreadableQuestion(
            f"question {number} ({title}) needs one line `Role: …. About: ….`, as the others have it, and one ```sql "
            f"block; it has {len(roles)} and {len(blocks)}"
        )
    ((role, option, about),) = roles
    if role != f"nightread_{option}" or role not in (Role.ANALYST, Role.READER):
        raise UnreadableQuestion(f"question {number} ({title}) names the role {role!r} and asks with --role {option}")
    if about not in list(About):
        raise UnreadableQuestion(f"question {number} ({title}) is about {about!r}; known are: {', '.join(About)}")
    return Question(number, title, Role(role), About(about), blocks[0].strip().rstrip(";"))
