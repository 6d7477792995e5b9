-- What each pull brought, and what became of it: the row of a night.
CREATE OR REPLACE VIEW run_summary AS
SELECT j.id AS run,
       j.feed,
       j.state,
       j.created_at AS due_at,
       j.claimed_at AS started_at,
       j.finished_at,
       extract(epoch FROM j.finished_at - j.claimed_at) AS seconds,
       coalesce((j.outcome ->> 'new')::bigint, 0) AS new,
       coalesce((j.outcome ->> 'amended')::bigint, 0) AS amended,
       coalesce((j.outcome ->> 'unchanged')::bigint, 0) AS unchanged,
       coalesce((j.outcome ->> 'outdated')::bigint, 0) AS outdated,
       coalesce((j.outcome ->> 'withdrawn')::bigint, 0) AS withdrawn,
       coalesce((j.outcome ->> 'reinstated')::bigint, 0) AS reinstated,
       coalesce((j.outcome ->> 'quarantined')::bigint, 0) AS quarantined,
       coalesce((j.outcome ->> 'skipped')::bigint, 0) AS skipped,
       j.error,
       j.scheduled_at,
       brought.received,
       night.labelled,
       night.failed,
       night.pending,
       night.labelled_at,
       -- A later attempt moves claimed_at; what an earlier one stored tells when the run began.
       CASE WHEN j.finished_at IS NOT NULL THEN
           extract(epoch FROM greatest(night.labelled_at, j.finished_at) - least(night.received_at, j.claimed_at))
       END AS night_seconds,
       j.state = 'done' AND brought.received + coalesce((j.outcome ->> 'withdrawn')::bigint, 0) = 0 AS brought_nothing
FROM job j
CROSS JOIN LATERAL (
    SELECT coalesce((j.outcome ->> 'new')::bigint, 0) + coalesce((j.outcome ->> 'amended')::bigint, 0)
           + coalesce((j.outcome ->> 'reinstated')::bigint, 0) AS received
) brought
-- Asked for each row that is read; a report counts once it has any model's labels.
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE one.labelled_at IS NOT NULL) AS labelled,
           count(*) FILTER (WHERE one.labelled_at IS NULL AND s.state = 'dead') AS failed,
           count(*) FILTER (WHERE one.labelled_at IS NULL AND s.state = 'pending') AS pending,
           max(one.labelled_at) AS labelled_at,
           min(r.received_at) AS received_at
    FROM report r
    LEFT JOIN report_state s ON s.report_id = r.id
    CROSS JOIN LATERAL (SELECT min(c.classified_at) AS labelled_at FROM classification c WHERE c.report_id = r.id) one
    WHERE r.job_id = j.id
) night
WHERE j.kind = 'pull';


COMMENT ON VIEW run_summary IS 'One row per pull: when, how it ended, what it brought, and how much of that is labelled.';
COMMENT ON COLUMN run_summary.state IS 'ready, running, done, dead or dropped.';
COMMENT ON COLUMN run_summary.scheduled_at IS 'Scheduled time that it served, the first if several fell due before it ended; null if somebody asked for it.';
COMMENT ON COLUMN run_summary.received IS 'Report versions it stored to be labelled: new, amended and reinstated.';
COMMENT ON COLUMN run_summary.labelled IS 'How many of them have been labelled.';
COMMENT ON COLUMN run_summary.failed IS 'How many of them were given up; see dead_letters.';
COMMENT ON COLUMN run_summary.pending IS 'How many of them are still to be labelled.';
COMMENT ON COLUMN run_summary.labelled_at IS 'When the last of them was labelled.';
COMMENT ON COLUMN run_summary.night_seconds IS 'From its start to the last label so far; null until the pull has ended.';
COMMENT ON COLUMN run_summary.brought_nothing IS 'Whether it is done and neither stored nor withdrew a report.';
