-- Feeds as they stand: the last runs, whether they are paused, and whether somebody should look.
CREATE VIEW feed_state AS
SELECT f.name AS feed,
       f.kind,
       f.site,
       f.source_system,
       paused.since AS paused_since,
       last.id AS last_run,
       last.state AS last_state,
       last.claimed_at AS last_started_at,
       done.finished_at AS last_done_at,
       brought.finished_at AS last_brought_at,
       quiet.nights AS nights_without_reports,
       f.quiet_nights AS quiet_nights_allowed,
       CASE
           WHEN paused.since IS NOT NULL THEN NULL
           WHEN last.state = 'dead' THEN 'failed'
           WHEN last.state = 'ready' AND last.waits > 0 THEN 'waiting'
           WHEN last.state IN ('ready', 'running') AND last.created_at < now() - interval '1 day' THEN 'stuck'
           WHEN quiet.nights > f.quiet_nights THEN 'brought-nothing'
       END AS alert,
       last.error,
       (SELECT count(*) FROM quarantine q WHERE q.feed = f.name AND q.released_at IS NULL) AS quarantined,
       (SELECT coalesce(sum(s.records), 0)::bigint FROM skipped_count s WHERE s.feed = f.name) AS skipped
FROM feed f
LEFT JOIN LATERAL (
    SELECT min(p.paused_at) AS since FROM schedule_pause p
    WHERE p.resumed_at IS NULL AND p.schedule IN ('*', 'pull:' || f.name)
) paused ON true
LEFT JOIN LATERAL (
    SELECT j.id, j.state, j.created_at, j.claimed_at, j.waits, j.error FROM job j
    WHERE j.kind = 'pull' AND j.feed = f.name ORDER BY j.id DESC LIMIT 1
) last ON true
LEFT JOIN LATERAL (
    SELECT j.finished_at FROM job j
    WHERE j.kind = 'pull' AND j.feed = f.name AND j.state = 'done' ORDER BY j.id DESC LIMIT 1
) done ON true
LEFT JOIN LATERAL (
    SELECT j.id, j.finished_at FROM job j
    WHERE j.kind = 'pull' AND j.feed = f.name AND j.state = 'done'
      AND j.outcome ?| '{new,amended,reinstated,withdrawn}' ORDER BY j.id DESC LIMIT 1
) brought ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS nights FROM job j
    WHERE j.kind = 'pull' AND j.feed = f.name AND j.state = 'done' AND j.scheduled_at IS NOT NULL
      AND j.id > coalesce(brought.id, 0)
) quiet ON true;

COMMENT ON VIEW feed_state IS 'Feeds as they stand: the last runs, whether they are paused, and whether somebody should look.';
COMMENT ON COLUMN feed_state.feed IS 'The feed.';
COMMENT ON COLUMN feed_state.kind IS 'Format that is read, e.g. fhir-ndjson.';
COMMENT ON COLUMN feed_state.site IS 'Hospital the reports come from.';
COMMENT ON COLUMN feed_state.source_system IS 'System that numbers the reports.';
COMMENT ON COLUMN feed_state.paused_since IS 'Since when its schedule is paused; null if it is not.';
COMMENT ON COLUMN feed_state.last_run IS 'Newest pull; see run_summary.';
COMMENT ON COLUMN feed_state.last_state IS 'Its state: ready, running, done, dead or dropped.';
COMMENT ON COLUMN feed_state.last_started_at IS 'When a worker last took it.';
COMMENT ON COLUMN feed_state.last_done_at IS 'When a pull last ended well.';
COMMENT ON COLUMN feed_state.last_brought_at IS 'When a pull last stored or withdrew a report.';
COMMENT ON COLUMN feed_state.nights_without_reports IS 'Scheduled pulls since then that brought nothing.';
COMMENT ON COLUMN feed_state.quiet_nights_allowed IS 'How many of those the settings allow.';
COMMENT ON COLUMN feed_state.alert IS 'failed, waiting, stuck (open for a day) or brought-nothing; null if all is well or it is paused.';
COMMENT ON COLUMN feed_state.error IS 'Last failure of the newest pull, if any.';
COMMENT ON COLUMN feed_state.quarantined IS 'Records in quarantine.';
COMMENT ON COLUMN feed_state.skipped IS 'Records skipped so far.';
