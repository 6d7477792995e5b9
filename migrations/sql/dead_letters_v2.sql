-- Work that was given up and that nobody has retried or dropped yet.
CREATE OR REPLACE VIEW dead_letters AS
SELECT j.id AS job, j.kind, j.feed, one.report_id, j.model_version_id AS model_version, j.error AS reason,
       j.attempts, j.finished_at AS dead_since,
       coalesce(history.failures, 0) AS failures,
       CASE
           WHEN j.kind = 'label' THEN s.dead_job_id IS DISTINCT FROM j.id
           ELSE EXISTS (SELECT 1 FROM job n WHERE n.key = j.key AND n.id > j.id AND n.state = 'done')
       END AS settled
FROM job j
LEFT JOIN LATERAL unnest(j.report_ids) AS one (report_id) ON true
LEFT JOIN report_state s ON s.report_id = one.report_id
LEFT JOIN (
    SELECT dead_letter, count(*) AS failures FROM dead_letter_history GROUP BY dead_letter
) history ON history.dead_letter = j.id
WHERE j.state = 'dead';

COMMENT ON VIEW dead_letters IS 'Work that was given up after its last attempt, until it is retried or dropped.';
COMMENT ON COLUMN dead_letters.failures IS 'Failed attempts, those of the jobs it was split from included; see dead_letter_history.';
COMMENT ON COLUMN dead_letters.settled IS 'Whether nobody needs it any more: its report is labelled, waits for another model, was amended or withdrawn; or a later pull of the feed went well.';
