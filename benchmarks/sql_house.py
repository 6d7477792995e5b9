"""A house full of made-up reports that two models have labelled: a year of nights, three hospitals, amendments.

2,000 reports are really made up (`nightread/made_up/`); the others repeat their texts at another time and place, so
that 200,000 come in by `INSERT … SELECT` within a minute or two. Rows lie on disk as nights would have written them: in
the order of their arrival, the second model's labels behind those of the first.
"""

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from nightread import made_up
from nightread.house import House
from nightread.made_up import FINDINGS, Hospital, MadeUpReport
from pipeline import label_sets
from pipeline.database import Sessions, copy_rows, engine
from pipeline.findings import FINDING_COLUMNS
from pipeline.language import language
from pipeline.names import Role

SAMPLES = 2_000
# The last day of studies; the nights begin as long before as the reports need.
LAST_DAY = date(2026, 3, 10)
ANNOTATED_SHARE = 200  # one report in so many
THRESHOLD = 0.5
# How often a model is wrong about a label: the second one is better.
WRONG = {1: 0.03, 2: 0.01}
# Not found in the last month, so that the question for such findings has an answer, and looks through all of it.
NEVER_LATELY = "Mosaic attenuation pattern"

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Read:
    """What one model says of one made-up report: probabilities by label position, findings as rows."""

    probabilities: list[float]
    findings: list[tuple[object, ...]]


def fill(house: House, reports: int, *, a_day: int) -> list[date]:
    """Fill an empty house with `reports` current reports, `a_day` of them every day, and all that hangs on them.

    VACUUM and ANALYZE follow, as autovacuum would have them; the days that there are.
    """
    days = [LAST_DAY - timedelta(days=back) for back in reversed(range(max(1, reports // a_day)))]
    owner = engine(house.urls[Role.OWNER])
    with Sessions(owner).begin() as session:
        label_set = label_sets.register_default(session)
        labels = text("SELECT position, id FROM label WHERE label_set_id = :label_set")
        label_ids = {row.position: row.id for row in session.execute(labels, {"label_set": label_set})}
        _keep_samples(session, label_ids)
        given = {
            "reports": reports,
            "samples": SAMPLES,
            "first": days[0],
            "days": len(days),
            # When the second model took over and began to read everything again.
            "promoted": days[len(days) * 5 // 6],
            "this_month": LAST_DAY.replace(day=1),
            "never": label_ids[FINDINGS.index(NEVER_LATELY) + 1],
            "label_set": label_set,
            "thresholds": [THRESHOLD] * len(FINDINGS),
            "share": ANNOTATED_SHARE,
        }
        for statement in STATEMENTS:
            session.execute(text(statement), given)
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE)"))
    owner.dispose()
    return days


def _keep_samples(session: Session, label_ids: dict[int, int]) -> None:
    session.execute(
        text("CREATE TEMPORARY TABLE sample (sample int, text text, language text, truth smallint[]) ON COMMIT DROP")
    )
    session.execute(text("CREATE TEMPORARY TABLE said (sample int, model int, probabilities real[]) ON COMMIT DROP"))
    session.execute(
        text(
            "CREATE TEMPORARY TABLE sample_finding ON COMMIT DROP AS "
            f"SELECT 0 AS sample, 0 AS model, {', '.join(FINDING_COLUMNS[1:])} FROM finding WITH NO DATA"
        )
    )
    half = SAMPLES // 2
    both = itertools.chain.from_iterable(made_up.reports(half, seed=0, site=hospital) for hospital in Hospital)
    samples, said, findings = [], [], []
    for number, report in enumerate(both):
        truth = [report.labels[name] for name in FINDINGS]
        samples.append((number, report.text, language(report.text), truth))
        for model in WRONG:
            read = _read(report, model, label_ids)
            said.append((number, model, read.probabilities))
            findings += [(number, model, *row) for row in read.findings]
    copy_rows(session, "sample", ("sample", "text", "language", "truth"), samples)
    copy_rows(session, "said", ("sample", "model", "probabilities"), said)
    copy_rows(session, "sample_finding", ("sample", "model", *FINDING_COLUMNS[1:]), findings)
    session.execute(text("ANALYZE sample, said, sample_finding"))


def _read(report: MadeUpReport, model: int, label_ids: dict[int, int]) -> Read:
    """A model that is mostly right and mostly certain, and weighs the words of the sentence that says so."""
    rng = random.Random(f"{report.source_id}/{report.site}/{model}")
    probabilities, findings = [], []
    for position, name in enumerate(FINDINGS, 1):
        positive = bool(report.labels[name]) != (rng.random() < WRONG[model])
        away = THRESHOLD * min(1.0, rng.expovariate(6))  # from certainty; most are near it
        probabilities.append(round(1 - away if positive else away * 0.999, 4))
        if positive:
            findings.append((label_ids[position], probabilities[-1], *_heatmap(report, name, rng)))
    return Read(probabilities, findings)


def _heatmap(report: MadeUpReport, name: str, rng: random.Random) -> Iterator[object]:
    """Sentence start and end, starts, ends and weights of its words, residual."""
    told = [one.text for one in report.statements if one.says.get(name) and one.text in report.text]
    sentence = told[0] if told else report.text[:80]
    at = report.text.index(sentence)
    words = [(at + word.start(), at + word.end()) for word in _WORD.finditer(sentence)]
    yield from (at, at + len(sentence), [start for start, _ in words], [end for _, end in words])
    yield [round(rng.gauss(0.3, 0.5), 4) for _ in words]
    yield 0.01


# The order of the tables is that of their references; within each, rows come as nights would have brought them.
STATEMENTS = (
    """
    CREATE TEMPORARY TABLE arriving ON COMMIT DROP AS
    SELECT row_number() OVER (ORDER BY received_at, n, version) AS id, *
    FROM (
        SELECT n, version, (n * 7 + version * 11) % :samples AS sample, feed, 'made-up-hospital-' || feed AS site,
               version = CASE WHEN n % 25 = 0 THEN 2 ELSE 1 END AS is_current,
               study_at,
               -- The night after the study; an amendment three nights later.
               date_trunc('day', study_at) + interval '25 hours' + (version - 1) * interval '3 days' AS received_at
        FROM generate_series(1, :reports) AS n
        CROSS JOIN LATERAL (
            SELECT CAST(:first AS date) + n * (CAST(:days AS int) * interval '1 day') / (:reports + 1) AS study_at,
                   CASE WHEN n % 10 < 5 THEN 'east' WHEN n % 10 < 8 THEN 'west' ELSE 'north' END AS feed
        ) AS here
        CROSS JOIN generate_series(1, CASE WHEN n % 25 = 0 THEN 2 ELSE 1 END) AS version
    ) AS every
    """,
    "ANALYZE arriving",
    """
    INSERT INTO feed (name, kind, site, source_system)
    SELECT DISTINCT feed, 'fhir-ndjson', site, 'made-up' FROM arriving
    """,
    """
    INSERT INTO model_version (kind, foundation, stage, serving_rank, artifact, artifact_sha256, label_set_id,
                               thresholds, promoted_at)
    SELECT 'classifier', 'made-up', 'production', rank, 'nowhere', 'none', :label_set,
           CAST(:thresholds AS real[]), CASE rank WHEN 1 THEN CAST(:first AS date) ELSE :promoted END
    FROM generate_series(1, 2) AS rank
    """,
    """
    INSERT INTO job (kind, key, feed, scheduled_at, priority, state, attempts, max_attempts, outcome,
                     created_at, claimed_at, finished_at)
    SELECT 'pull', 'pull:' || feed, feed, received_at, 0, 'done', 1, 3,
           jsonb_build_object('new', count(*) FILTER (WHERE version = 1),
                              'amended', count(*) FILTER (WHERE version > 1)),
           received_at, received_at, received_at + interval '2 minutes'
    FROM arriving GROUP BY feed, received_at ORDER BY received_at, feed
    """,
    """
    INSERT INTO report (id, site, source_system, source_id, version, is_current, withdrawn_at, accession, patient,
                        study_at, issued_at, source_updated_at, code, modality, language, text, content_hash, feed,
                        job_id, received_at)
    OVERRIDING SYSTEM VALUE
    SELECT a.id, a.site, 'made-up', 'made-up-' || n, version, is_current,
           CASE WHEN n % 200 = 7 THEN received_at + interval '5 days' END, 'MADE-UP-' || n,
           'made-up-patient-' || n % 90000, study_at, study_at + interval '2 hours',
           study_at + interval '2 hours', '24627-2', 'CT', s.language, s.text,
           encode(sha256(CAST(n || '/' || version AS bytea)), 'hex'), a.feed, j.id, a.received_at
    FROM arriving a JOIN sample s USING (sample) JOIN job j ON j.feed = a.feed AND j.scheduled_at = a.received_at
    ORDER BY a.id
    """,
    "SELECT setval(pg_get_serial_sequence('report', 'id'), (SELECT max(id) FROM report))",
    # The first model reads every night until the second takes over, which then also reads all that still stands.
    """
    INSERT INTO classification (report_id, model_version_id, probabilities, classified_at)
    SELECT a.id, m.id, said.probabilities, a.received_at + interval '10 minutes'
    FROM arriving a JOIN model_version m ON m.serving_rank = 1 JOIN said ON said.sample = a.sample AND said.model = 1
    WHERE a.received_at < :promoted ORDER BY a.id
    """,
    """
    INSERT INTO classification (report_id, model_version_id, probabilities, classified_at)
    SELECT a.id, m.id, said.probabilities, greatest(a.received_at, :promoted) + interval '10 minutes'
    FROM arriving a JOIN model_version m ON m.serving_rank = 2 JOIN said ON said.sample = a.sample AND said.model = 2
    JOIN report r ON r.id = a.id
    WHERE a.received_at >= :promoted OR r.is_current AND r.withdrawn_at IS NULL ORDER BY a.id
    """,
    f"""
    INSERT INTO finding ({", ".join(FINDING_COLUMNS)})
    SELECT c.id, {", ".join(f"f.{column}" for column in FINDING_COLUMNS[1:])}
    FROM classification c
    JOIN model_version m ON m.id = c.model_version_id
    JOIN arriving a ON a.id = c.report_id
    JOIN sample_finding f ON f.sample = a.sample AND f.model = m.serving_rank
    WHERE f.label_id <> :never OR a.study_at < :this_month
    ORDER BY c.id
    """,
    """
    INSERT INTO job (kind, key, report_ids, priority, state, attempts, max_attempts, model_version_id, created_at,
                     claimed_at, finished_at)
    SELECT 'label', 'label:' || min(id), array_agg(report_id), 0, 'done', 1, 3, model_version_id, min(classified_at),
           min(classified_at), max(classified_at)
    FROM classification GROUP BY model_version_id, id / 64 ORDER BY min(id)
    """,
    """
    INSERT INTO annotation (label_set_id, site, source_id, text_hash, text, labels, split, imported_at)
    SELECT :label_set, r.site, r.source_id, encode(sha256(CAST(r.source_id AS bytea)), 'hex'), r.text, s.truth,
           CASE WHEN a.n / :share % 10 < 8 THEN 'train' WHEN a.n / :share % 10 < 9 THEN 'calibration' ELSE 'gate' END,
           CAST(:first AS date) + CAST(:days AS int) + 10
    FROM arriving a JOIN report r ON r.id = a.id JOIN sample s USING (sample)
    WHERE r.is_current AND r.withdrawn_at IS NULL AND a.n % :share = 1 ORDER BY a.id
    """,
    """
    INSERT INTO annotation_reading (annotation_id, annotator, labels)
    SELECT id, reader, CASE WHEN reader = 'Lee' AND id % 5 = 0 THEN CAST(1 - labels[1] AS smallint) || labels[2:]
                            ELSE labels END
    FROM annotation CROSS JOIN unnest(ARRAY['Kim', 'Lee']) AS reader
    """,
    """
    INSERT INTO fitted_on (model_version_id, annotation_id)
    SELECT m.id, a.id FROM model_version m CROSS JOIN annotation a WHERE a.split <> 'gate'
    """,
)
