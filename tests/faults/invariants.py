"""What must hold after every fault: nothing lost, nothing twice, nothing that needs a hand."""

from typing import Any

from sqlalchemy import text

from pipeline import status
from pipeline.database import Sessions

# Each query finds what must not be; a row of its answer is a violation.
FORBIDDEN = {
    "a report that stands has not exactly one classification by the serving model": """
        SELECT r.id, count(c.id) FROM report r
        JOIN report_state s ON s.report_id = r.id
        LEFT JOIN classification c ON c.report_id = r.id AND c.model_version_id = s.serving_model_version_id
        WHERE s.state NOT IN ('withdrawn', 'dead') GROUP BY r.id HAVING count(c.id) <> 1
    """,
    "a report was classified twice by one model": """
        SELECT report_id, model_version_id FROM classification GROUP BY 1, 2 HAVING count(*) > 1
    """,
    "an identity has not exactly one current version": """
        SELECT site, source_system, source_id FROM report GROUP BY 1, 2, 3
        HAVING count(*) FILTER (WHERE is_current) <> 1 OR count(*) <> max(version)
    """,
    "a dead-lettered report has labels, or not exactly one dead letter of the serving model": """
        SELECT s.report_id FROM report_state s WHERE s.state = 'dead' AND (
            EXISTS (SELECT 1 FROM classification c JOIN model_version m ON m.id = c.model_version_id
                    WHERE c.report_id = s.report_id AND m.stage = 'production')
            OR 1 <> (SELECT count(*) FROM job j WHERE j.state IN ('dead', 'dropped')
                     AND s.report_id = ANY (j.report_ids) AND j.model_version_id = s.serving_model_version_id))
    """,
    "a job is still open": "SELECT id, state, attempts, error FROM job WHERE state IN ('ready', 'running')",
    "a job has ended without saying when": """
        SELECT id FROM job
        WHERE state IN ('done', 'dead', 'dropped') AND (finished_at IS NULL OR lease_until IS NOT NULL)
    """,
    "a job was split or given up, and its history does not say why": """
        SELECT id FROM job WHERE (state IN ('dead', 'dropped') OR outcome ? 'split')
        AND NOT EXISTS (SELECT 1 FROM job_failure f WHERE f.job_id = job.id)
    """,
    "positive labels and findings differ": """
        SELECT c.id, l.name FROM classification c
        JOIN model_version m ON m.id = c.model_version_id
        JOIN label l ON l.label_set_id = m.label_set_id
        LEFT JOIN finding f ON f.classification_id = c.id AND f.label_id = l.id
        WHERE (c.probabilities[l.position] >= m.thresholds[l.position]) <> (f.label_id IS NOT NULL)
           OR abs(f.probability - c.probabilities[l.position]) > 1e-6
    """,
    "probabilities do not match the label set": """
        SELECT c.id FROM classification c JOIN model_version m ON m.id = c.model_version_id
        WHERE cardinality(c.probabilities)
              <> (SELECT count(*) FROM label l WHERE l.label_set_id = m.label_set_id)
    """,
    "a heatmap's word or a finding's sentence lies outside of the text": """
        SELECT f.classification_id, f.label_id FROM finding f
        JOIN classification c ON c.id = f.classification_id JOIN report r ON r.id = c.report_id
        CROSS JOIN LATERAL unnest(f.starts, f.ends) AS word (first, past)
        WHERE NOT (0 <= word.first AND word.first < word.past AND word.past <= length(r.text)
                   AND 0 <= f.sentence_start AND f.sentence_start < f.sentence_end
                   AND f.sentence_end <= length(r.text))
    """,
    "a finding has no heatmap": "SELECT classification_id FROM finding WHERE cardinality(starts) = 0",
    "ReportsLabelled names a report twice for one model": """
        SELECT payload ->> 'model_version_id', report_id FROM event
        CROSS JOIN LATERAL jsonb_array_elements_text(payload -> 'report_ids') AS report_id
        WHERE kind = 'ReportsLabelled' GROUP BY 1, 2 HAVING count(*) > 1
    """,
    "ReportsLabelled and the classifications differ": """
        WITH said AS (
            SELECT report_id::bigint, (payload ->> 'model_version_id')::bigint FROM event
            CROSS JOIN LATERAL jsonb_array_elements_text(payload -> 'report_ids') AS report_id
            WHERE kind = 'ReportsLabelled'
        ), written AS (SELECT report_id, model_version_id FROM classification)
        (SELECT * FROM said EXCEPT SELECT * FROM written) UNION ALL (SELECT * FROM written EXCEPT SELECT * FROM said)
    """,
    "ReportsReceived names a report twice": """
        SELECT report_id FROM event CROSS JOIN LATERAL jsonb_array_elements_text(payload -> 'report_ids') AS report_id
        WHERE kind = 'ReportsReceived' GROUP BY 1 HAVING count(*) > 1
    """,
    "a report arrived that ReportsReceived does not name": """
        SELECT id FROM report WHERE text IS NOT NULL AND is_current AND withdrawn_at IS NULL AND id NOT IN (
            SELECT report_id::bigint FROM event
            CROSS JOIN LATERAL jsonb_array_elements_text(payload -> 'report_ids') AS report_id
            WHERE kind = 'ReportsReceived')
    """,
    "the jobs' outcomes do not add up to the classifications": """
        SELECT said, there FROM
            (SELECT coalesce(sum((outcome ->> 'labelled')::int), 0) AS said FROM job WHERE kind = 'label') jobs,
            (SELECT count(*) AS there FROM classification) written
        WHERE said <> there
    """,
}

# What must hold at every moment, while anything goes on; each query sees one snapshot.
AT_EVERY_MOMENT = {
    "stale does not say whether another model serves than the one that is shown": """
        SELECT l.report_id, l.model_version, l.stale, s.id FROM report_labels l
        CROSS JOIN (SELECT id FROM model_version ORDER BY serving_rank DESC NULLS LAST LIMIT 1) s
        WHERE l.stale IS DISTINCT FROM (l.model_version <> s.id)
    """,
    "labels of a model that is not in production are shown": """
        SELECT l.report_id, l.model_version FROM report_labels l JOIN model_version m ON m.id = l.model_version
        WHERE m.stage <> 'production'
    """,
    "a newer model's labels are there and not shown": """
        SELECT l.report_id FROM report_labels l JOIN model_version shown ON shown.id = l.model_version
        JOIN classification c ON c.report_id = l.report_id JOIN model_version m ON m.id = c.model_version_id
        WHERE m.serving_rank > shown.serving_rank
    """,
    "a label that is shown is not what its model's threshold makes of its probability": """
        SELECT l.report_id, b.column_name FROM report_labels l
        JOIN classification c ON c.report_id = l.report_id AND c.model_version_id = l.model_version
        JOIN model_version m ON m.id = l.model_version
        JOIN label b ON b.label_set_id = m.label_set_id
        WHERE (to_jsonb(l) ->> b.column_name)::boolean
              IS DISTINCT FROM (c.probabilities[b.position] >= m.thresholds[b.position])
    """,
    "findings of another model than the one that is shown": """
        SELECT f.report_id FROM report_findings f JOIN report_labels l ON l.report_id = f.report_id
        WHERE f.model_version <> l.model_version OR f.stale <> l.stale
    """,
    "completeness does not add up": """
        SELECT * FROM completeness WHERE received <> labelled + pending + dead + withdrawn
    """,
    "completeness and report_labels differ": """
        SELECT * FROM (SELECT coalesce(sum(labelled), 0)::bigint AS labelled, coalesce(sum(stale), 0)::bigint AS stale
                       FROM completeness) said,
                      (SELECT count(*) AS labelled, count(*) FILTER (WHERE stale) AS stale FROM report_labels) there
        WHERE said <> there
    """,
}


def violations(sessions: Sessions) -> list[str]:
    """What is wrong, in words; empty when all is well."""
    found = []
    with sessions.begin() as session:
        for name, query in {**FORBIDDEN, **AT_EVERY_MOMENT}.items():
            rows = session.execute(text(query)).all()
            if rows:
                found.append(f"{name}: {rows[:5]}")
        now = status.read(session)
    if now.received != now.labelled + now.pending + now.dead + now.withdrawn:
        found.append(f"completeness does not add up: {now}")
    if now.pending or now.stale or now.waiting:
        found.append(f"something still waits: {now}")
    return found


def counts(sessions: Sessions) -> dict[str, Any]:
    """Received, labelled, dead and withdrawn, as `nightread status` counts them."""
    with sessions.begin() as session:
        now = status.read(session)
    return {"received": now.received, "labelled": now.labelled, "dead": now.dead, "withdrawn": now.withdrawn}
