"""Report text lives in its column and nowhere else: a night of reports with marker words, and every sink searched.

What counts as a sink: everything that Redis holds or was ever sent, its append-only file, every column of every table
but the two that are for text, the logs of all processes and of both servers, what commands print, what a colleague of
PostgreSQL's sees of running statements, and exceptions with all that they drag along.
"""

import base64
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from stage import FEED, KILLS, RAISES, Stage, fhir

from pipeline import annotations, label_sets
from pipeline.database import DatabaseFailed, Sessions, copy_rows, engine
from pipeline.names import Role
from pipeline.tables import Report

TEXT_COLUMNS = {("report", "text"), ("annotation", "text")}


@dataclass
class Markers:
    """Words that occur nowhere else: for each kind of report one in Latin letters and one in Hangul."""

    words: dict[str, tuple[str, str]] = field(default_factory=dict)

    def text(self, kind: str) -> str:
        """A report's text with the two words of its kind, at its edges and in its middle."""
        if kind not in self.words:
            hangul = "".join(chr(random.Random(secrets.randbits(64)).randint(0xAC00, 0xD7A3)) for _ in range(6))
            self.words[kind] = f"zq{secrets.token_hex(8)}", hangul
        latin, hangul = self.words[kind]
        return f"{latin} 소견: {hangul} 결절이 보임.\nNo effusion, {latin}. Nodule of 3 mm, {hangul}."

    def needles(self) -> dict[bytes, str]:
        """How the words may look in bytes: plain, escaped as JSON, Python and Redis do, in hex, in base64."""
        found: dict[bytes, str] = {}
        for kind, pair in self.words.items():
            for word in pair:
                raw = word.encode()
                forms = [raw, json.dumps(word)[1:-1].encode(), repr(raw)[2:-1].encode(), raw.hex().encode()]
                for shift in range(3):
                    # Whole groups of three bytes look the same wherever the word stands in base64.
                    inner = raw[shift : len(raw) - (len(raw) - shift) % 3]
                    forms.append(base64.b64encode(inner))
                found |= {form.lower(): f"{kind}: {word}" for form in forms}
        return found


def leaks(sinks: Mapping[str, bytes], needles: Mapping[bytes, str]) -> list[str]:
    """Which sink holds which marker."""
    found = []
    for sink, content in sinks.items():
        lower = content.lower()
        found += sorted({f"{sink} holds {said}" for needle, said in needles.items() if needle in lower})
    return found


def test_the_search_finds_what_is_there():
    markers = Markers()
    body = markers.text("planted")
    hidden = {
        "plain": body.encode(),
        "json": json.dumps({"body": body}).encode(),
        "bytes as Python shows them": repr(body.encode()).encode(),
        "hex": body.encode().hex().encode(),
        **{f"base64 {shift}": base64.b64encode(b"x" * shift + body.encode()) for shift in range(3)},
        "upper case": body.upper().encode(),
    }
    found = leaks(hidden, markers.needles())
    assert {leak.split(" holds ")[0] for leak in found} == set(hidden)
    assert not leaks({"others": Markers().text("planted").encode()}, markers.needles())


# --- taps -------------------------------------------------------------------------------------------------------


@contextmanager
def redis_tapped(stage: Stage) -> Iterator[bytearray]:
    """Everything that Redis is told meanwhile, by MONITOR, as bytes on the wire."""
    url = urlsplit(stage.house.addresses.broker_url)
    tap = socket.socket(socket.AF_UNIX)
    tap.connect(unquote(url.path))
    tap.sendall(f"AUTH {url.password}\r\nMONITOR\r\n".encode())
    heard = bytearray()

    def listen() -> None:
        with suppress(OSError):
            while read := tap.recv(1 << 16):
                heard.extend(read)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        tap.shutdown(socket.SHUT_RDWR)
        thread.join()
        tap.close()


@contextmanager
def statements_sampled(stage: Stage) -> Iterator[set[str]]:
    """Statements as pg_stat_activity shows them to an administrator, looked at again and again."""
    passwords = json.loads((stage.house.home / "credentials.json").read_text())
    connection = psycopg2.connect(
        host=stage.house.addresses.host, user="postgres", password=passwords["postgres"], dbname="postgres"
    )
    connection.autocommit = True
    seen: set[str] = set()
    stop = threading.Event()

    def look() -> None:
        with connection.cursor() as cursor:
            while not stop.wait(0.02):
                cursor.execute("SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query <> ''")
                seen.update(query for (query,) in cursor.fetchall())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
        connection.close()


def all_columns(stage: Stage) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Content of every column of every table: those that are for text, and all others."""
    meant: dict[str, bytes] = {}
    others: dict[str, bytes] = {}
    columns = stage.house.rows(
        "SELECT c.table_schema, c.table_name, c.column_name FROM information_schema.columns c "
        "JOIN information_schema.tables t USING (table_schema, table_name) "
        "WHERE t.table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"
    )
    for schema, table, column in columns:
        content = stage.house.rows(f'SELECT string_agg("{column}"::text, chr(10)) FROM "{schema}"."{table}"')[0][0]
        sort = meant if (table, column) in TEXT_COLUMNS else others
        sort[f"column {table}.{column}"] = (content or "").encode()
    return meant, others


def redis_content(stage: Stage) -> bytes:
    read: dict[bytes, Callable[[Any, Any], object]] = {
        b"string": lambda client, key: client.get(key),
        b"list": lambda client, key: client.lrange(key, 0, -1),
        b"hash": lambda client, key: client.hgetall(key),
        b"set": lambda client, key: client.smembers(key),
        b"zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    }
    with stage.redis() as client:
        content = {key: read[client.type(key)](client, key) for key in client.scan_iter("*")}
    # Twice: as Python shows bytes, and the bytes themselves.
    return repr(content).encode() + b"".join(_flat(content))


def _flat(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _flat(key)
            yield from _flat(one)
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for one in value:
            yield from _flat(one)


def files(folder: Path, *, without: Iterable[Path]) -> dict[str, bytes]:
    """All files below a folder: logs, the append-only file, settings, whatever else was left there."""
    left_out = tuple(without)
    return {
        f"file {path.relative_to(folder)}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(path.is_relative_to(one) for one in left_out)
    }


# --- the night --------------------------------------------------------------------------------------------------

SETTINGS = {"lease_seconds": "3", "attempts": "1"}


def test_no_report_text_outside_of_its_column(stage: Stage, serve, tmp_path: Path):
    markers = Markers()
    said: dict[str, bytes] = {}
    for name in ("scheduler", "intake", "label"):
        stage.processes.end_if_running(name)
        stage.processes.log(name).unlink(missing_ok=True)
    serve()
    with redis_tapped(stage) as heard, statements_sampled(stage) as statements:
        for name in ("scheduler", "intake", "label"):
            stage.processes.start(name, **SETTINGS)
        _the_night(stage, markers, statements)
        counts = stage.all_done()
        said |= _commands(stage, markers, tmp_path)
        _annotated(stage, markers)
        stage.all_done()
    # Not sampled: an INSERT with the text in its statement, which the house never sends, shows while it runs.
    said |= _refused(stage, markers)
    assert counts == {"received": 9, "labelled": 6, "dead": 2, "withdrawn": 1}
    quarantined = stage.rows("SELECT reason FROM quarantine ORDER BY 1")
    assert [reason.split(":")[0] for (reason,) in quarantined] == [
        "bad-base64", "broken-json", "identifying-data", "identifying-data", "invalid-utf-8", "nul-byte",
        "oversized-text",
    ]  # fmt: skip

    meant, others = all_columns(stage)
    logs = {f"log {path.name}": path.read_bytes() for path in stage.folder.glob("*.log")}
    home = files(stage.house.home, without=[stage.house.home / "servers" / "postgres"])
    assert all(name in set(home) for name in ("file servers/postgres.log", "file servers/redis.log")), sorted(home)
    sinks = {
        **others,
        **logs,
        **home,
        **said,
        "Redis": redis_content(stage),
        "what Redis was told": bytes(heard),
        "pg_stat_activity": "\n".join(statements).encode(),
    }
    assert not (found := leaks(sinks, markers.needles())), "\n".join(found)
    # The taps were open: each holds what it must hold.
    assert len(leaks(meant, markers.needles())) > 10, "the columns for text are searched the same way"
    assert b"nightread.label" in sinks["what Redis was told"] and b"nightread.pull" in sinks["what Redis was told"]
    assert any(b"nightread.label" in content for name, content in home.items() if "appendonly" in name)
    assert b"failed: ValueError at" in logs["log label.log"]
    assert {"column event.payload", "column job.error", "column quarantine.reason", "column feed.cursor"} <= set(others)


def _the_night(stage: Stage, markers: Markers, statements: set[str]) -> None:
    good = [fhir(kind, markers.text(kind)) for kind in ("good", "other", "amended", "withdrawn", "marked", "more")]
    conclusion = json.loads(fhir("conclusion", None)) | {"conclusion": markers.text("conclusion")}
    identifying = markers.text("identifying") + "\n환자명: 홍길동"
    not_utf8 = base64.b64encode(markers.text("invalid").encode() + b"\xff\xfe").decode()
    broken = {
        "bad-base64": {"data": "!" + markers.text("base64")},
        "nul": {"data": base64.b64encode(markers.text("nul").encode() + b"\x00").decode()},
        "not-utf8": {"data": not_utf8},
        "oversized": {"data": base64.b64encode((markers.text("oversized") * 20_000).encode()).decode()},
    }
    lines = [
        *good,
        json.dumps(conclusion),
        fhir("identifying", identifying),
        *(json.dumps(json.loads(fhir(name, None)) | {"presentedForm": [form]}) for name, form in broken.items()),
        json.dumps(conclusion, ensure_ascii=False).replace('"conclusion": ', '"conclusion" ')[:-1],
        fhir("raises", f"{markers.text('raises')} {RAISES}"),
        fhir("kills", f"{markers.text('kills')} {KILLS}"),
    ]
    # Held with a transaction open, until the tap has seen its last statement.
    points = {"copied": "COPY report", "finished": "UPDATE job SET state='done'"}
    for point in points:
        stage.hold(point)
    stage.write_feed("DiagnosticReport.000.ndjson", lines)
    stage.ask_pull()
    for point, statement in points.items():
        stage.held(point)
        stage.until(
            lambda statement=statement: any(statement in one for one in list(statements)), f"the tap seeing {statement}"
        )
        stage.release(point)
    stage.until(lambda: stage.value("SELECT count(*) FROM job WHERE kind = 'pull' AND state = 'done'"), "the pull")
    later = [
        fhir("amended", markers.text("amendment"), minutes=1, status="amended"),
        fhir("marked", markers.text("second identifying") + "\n연락처: 010-1234-5678", minutes=1),
        fhir("withdrawn", markers.text("withdrawal"), minutes=1, status="entered-in-error"),
    ]
    stage.write_feed("DiagnosticReport.001.ndjson", later)
    stage.ask_pull()


def _commands(stage: Stage, markers: Markers, folder: Path) -> dict[str, bytes]:
    """What commands print, the failing ones above all."""
    doubled = folder / "doubled.csv"
    rows = [markers.text("annotation").replace("\n", " ") + f",{label}" for label in (0, 1)]
    doubled.write_text("text,Nodule\n" + "\n".join(f'"{row[:-2]}"{row[-2:]}' for row in rows) + "\n")
    runs: list[list[str]] = [
        ["status", "--json"],
        ["pull", FEED],
        ["pull", "no-such-feed"],
        ["label"],
        ["train", "--annotations", str(doubled), "--foundation", "nothing"],
        ["sql", "--role", "analyst", "SELECT text FROM report"],
    ]
    found = {}
    environment = {key: value for key, value in stage.processes.environment.items() if "FEEDS" in key}
    for start in range(0, len(runs), 2):  # two at a time: each is mostly imports
        together = [
            subprocess.Popen(
                [sys.executable, "-m", "nightread", *arguments],
                env={**os.environ, **stage.house.environment, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            for arguments in runs[start : start + 2]
        ]
        for arguments, process in zip(runs[start : start + 2], together, strict=True):
            printed, _ = process.communicate(timeout=120)
            found[f"nightread {' '.join(arguments)}"] = printed
            fails = arguments[0] == "train" or "no-such-feed" in arguments or "analyst" in arguments
            assert (process.returncode != 0) == fails, (arguments, printed)
    return found


def _annotated(stage: Stage, markers: Markers) -> None:
    one = annotations.Annotated("a", "site", markers.text("kept"), "hash", (0,) * 18, annotations.Split.TRAIN)
    with stage.house.sessions.begin() as session:
        annotations.keep(session, [one], label_set_id=label_sets.register_default(session))


def _refused(stage: Stage, markers: Markers) -> dict[str, bytes]:
    """What PostgreSQL refuses with report text in hand: the exceptions, with everything that hangs on them."""
    body = markers.text("refused")
    owner = Sessions(engine(stage.house.addresses.database_url(Role.OWNER)))
    app = stage.house.sessions
    row: dict[str, Any] = {
        "site": "site", "source_system": "fhir", "source_id": "good", "version": 1, "is_current": True,
        "language": "en", "text": body, "content_hash": "0", "feed": FEED,
    }  # fmt: skip

    def copied(values: Mapping[str, Any]) -> Callable[[Any], object]:
        return lambda session: copy_rows(session, "report", list(values), [list(values.values())])

    attempts: dict[str, tuple[Sessions, Callable[[Any], object]]] = {
        "a duplicate by INSERT": (app, lambda session: session.execute(insert(Report).values(row))),
        "a duplicate through the ORM": (app, lambda session: session.add(Report(**row))),
        "a duplicate by COPY": (app, copied(row)),
        "a broken CHECK by COPY": (app, copied(row | {"version": -1, "source_id": "fresh"})),
        "a value of the wrong type by COPY": (app, copied(row | {"version": body})),
        "a value of the wrong type": (
            app, lambda session: session.execute(text("SELECT CAST(:body AS integer)"), {"body": body})
        ),
        "a text that is cast": (app, lambda session: session.execute(text("SELECT text::integer FROM report"))),
        "a NULL that must not be": (owner, copied(row | {"language": None, "source_id": "fresh"})),
    }  # fmt: skip
    found = {}
    for name, (sessions, attempt) in attempts.items():
        with pytest.raises(DatabaseFailed) as failed, sessions.begin() as session:
            attempt(session)
        found[f"exception of {name}"] = "\n".join(_everything(failed.value)).encode()
    owner.engine.dispose()
    return found


def _everything(error: BaseException | None) -> Iterator[str]:
    if error is None:
        return
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
    yield from getattr(error, "__notes__", ())
    yield "".join(traceback.format_exception(error))
    yield from _everything(error.__cause__)
    yield from _everything(error.__context__)
