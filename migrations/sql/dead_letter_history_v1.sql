-- How each dead letter came about: every failed attempt, at it and at the jobs that it was split from.
CREATE VIEW dead_letter_history AS
WITH RECURSIVE line AS (
    SELECT j.id AS dead_letter, j.id AS job, j.parent_id FROM job j WHERE j.state IN ('dead', 'dropped')
    UNION ALL
    SELECT line.dead_letter, p.id, p.parent_id FROM line JOIN job p ON p.id = line.parent_id
)
SELECT line.dead_letter,
       f.job_id AS job,
       f.id AS failure,
       f.failed_at,
       f.cause,
       f.reason,
       f.worker,
       f.model_version_id AS model_version,
       cardinality(j.report_ids) AS reports
FROM line
JOIN job_failure f ON f.job_id = line.job
JOIN job j ON j.id = line.job;

COMMENT ON VIEW dead_letter_history IS 'Every failed attempt that led to a dead letter, halves and wholes.';
COMMENT ON COLUMN dead_letter_history.dead_letter IS 'Job that was given up.';
COMMENT ON COLUMN dead_letter_history.job IS 'Job of this attempt: itself, or one that it is a part of.';
COMMENT ON COLUMN dead_letter_history.failure IS 'Order of the failures.';
COMMENT ON COLUMN dead_letter_history.failed_at IS 'When.';
COMMENT ON COLUMN dead_letter_history.cause IS 'work, environment (given back) or silence (its worker fell silent).';
COMMENT ON COLUMN dead_letter_history.reason IS 'What went wrong; never report text.';
COMMENT ON COLUMN dead_letter_history.worker IS 'Host and process that had it.';
COMMENT ON COLUMN dead_letter_history.model_version IS 'Model that it read with.';
COMMENT ON COLUMN dead_letter_history.reports IS 'Reports in that job.';
