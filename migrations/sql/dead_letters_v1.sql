-- Reports whose labelling was given up.
CREATE VIEW dead_letters AS
SELECT j.id AS job, j.kind, j.feed, report_id, j.model_version_id AS model_version, j.error AS reason,
       j.attempts, j.finished_at AS dead_since
FROM job j
LEFT JOIN LATERAL unnest(j.report_ids) AS report_id ON true
WHERE j.state = 'dead';

COMMENT ON VIEW dead_letters IS 'Work that was given up after its last attempt.';
COMMENT ON COLUMN dead_letters.job IS 'Job.';
COMMENT ON COLUMN dead_letters.kind IS 'What was to be done.';
COMMENT ON COLUMN dead_letters.feed IS 'Feed, for a pull.';
COMMENT ON COLUMN dead_letters.report_id IS 'Report version, for a label job.';
COMMENT ON COLUMN dead_letters.model_version IS 'Model it was read with.';
COMMENT ON COLUMN dead_letters.reason IS 'Last failure; never report text.';
COMMENT ON COLUMN dead_letters.attempts IS 'How often it was tried.';
COMMENT ON COLUMN dead_letters.dead_since IS 'When it was given up.';
