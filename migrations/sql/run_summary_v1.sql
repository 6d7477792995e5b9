-- What each pull brought.
CREATE VIEW run_summary AS
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
       j.error
FROM job j
WHERE j.kind = 'pull';

COMMENT ON VIEW run_summary IS 'One row per pull: when, how it ended and what it brought.';
COMMENT ON COLUMN run_summary.run IS 'Job that pulled.';
COMMENT ON COLUMN run_summary.feed IS 'Feed that was read.';
COMMENT ON COLUMN run_summary.state IS 'ready, running, done or dead.';
COMMENT ON COLUMN run_summary.due_at IS 'When it was asked for.';
COMMENT ON COLUMN run_summary.started_at IS 'When a worker last took it.';
COMMENT ON COLUMN run_summary.finished_at IS 'When it ended.';
COMMENT ON COLUMN run_summary.seconds IS 'How long it took.';
COMMENT ON COLUMN run_summary.new IS 'Reports not seen before.';
COMMENT ON COLUMN run_summary.amended IS 'New versions of known reports.';
COMMENT ON COLUMN run_summary.unchanged IS 'Records equal to what we hold.';
COMMENT ON COLUMN run_summary.outdated IS 'Records older than what we hold.';
COMMENT ON COLUMN run_summary.withdrawn IS 'Reports withdrawn by the source.';
COMMENT ON COLUMN run_summary.reinstated IS 'Withdrawn reports that came back.';
COMMENT ON COLUMN run_summary.quarantined IS 'Records not taken in; see quarantined_records.';
COMMENT ON COLUMN run_summary.skipped IS 'Records that the feed does not want.';
COMMENT ON COLUMN run_summary.error IS 'Last failure, if any.';
