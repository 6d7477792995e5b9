-- One row per current report version: where it stands.
CREATE OR REPLACE VIEW report_state AS
SELECT r.id AS report_id,
       r.site,
       r.received_at,
       visible.model_version_id,
       serving.id AS serving_model_version_id,
       CASE
           WHEN r.withdrawn_at IS NOT NULL THEN 'withdrawn'
           WHEN visible.model_version_id IS NOT NULL THEN 'labelled'
           WHEN dead.id IS NOT NULL THEN 'dead'
           ELSE 'pending'
       END AS state,
       coalesce(r.withdrawn_at IS NULL AND visible.model_version_id <> serving.id, false) AS stale,
       dead.id AS dead_job_id
FROM report r
LEFT JOIN LATERAL (
    SELECT m.id FROM model_version m
    WHERE m.serving_rank IS NOT NULL ORDER BY m.serving_rank DESC LIMIT 1
) serving ON true
LEFT JOIN LATERAL (
    SELECT c.model_version_id
    FROM classification c JOIN model_version m ON m.id = c.model_version_id
    WHERE c.report_id = r.id AND m.serving_rank IS NOT NULL
    ORDER BY m.serving_rank DESC LIMIT 1
) visible ON true
LEFT JOIN LATERAL (
    SELECT j.id FROM job j
    WHERE r.withdrawn_at IS NULL AND visible.model_version_id IS DISTINCT FROM serving.id
      AND j.state IN ('dead', 'dropped') AND j.report_ids @> ARRAY[r.id] AND j.model_version_id = serving.id
    ORDER BY j.id DESC LIMIT 1
) dead ON true
WHERE r.is_current;

COMMENT ON VIEW report_state IS 'Where each current report version stands: labelled, pending, dead or withdrawn.';
COMMENT ON COLUMN report_state.report_id IS 'Report version.';
COMMENT ON COLUMN report_state.site IS 'Hospital.';
COMMENT ON COLUMN report_state.received_at IS 'When this version was stored.';
COMMENT ON COLUMN report_state.model_version_id IS 'Model whose labels are shown; null if there are none.';
COMMENT ON COLUMN report_state.serving_model_version_id IS 'Model that serves now.';
COMMENT ON COLUMN report_state.state IS 'withdrawn, labelled, dead (no label and given up, whether dropped or not) or pending.';
COMMENT ON COLUMN report_state.stale IS 'Whether a newer model serves and its labels are still to come, or the report was given up; see dead_letters.';
COMMENT ON COLUMN report_state.dead_job_id IS 'Dead letter of the serving model for this report, if any.';
COMMENT ON COLUMN current_classification.stale IS 'Whether a newer model serves and its labels are still to come, or the report was given up; see dead_letters.';
