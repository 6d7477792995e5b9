-- What was not taken in.
CREATE VIEW quarantined_records AS
SELECT id AS quarantine_id, feed, place, reason, source_id, quarantined_at
FROM quarantine;

COMMENT ON VIEW quarantined_records IS 'Records that were not taken in, with place and reason.';
COMMENT ON COLUMN quarantined_records.quarantine_id IS 'Quarantined record.';
COMMENT ON COLUMN quarantined_records.feed IS 'Feed it came from.';
COMMENT ON COLUMN quarantined_records.place IS 'File and line.';
COMMENT ON COLUMN quarantined_records.reason IS 'Why, as one word.';
COMMENT ON COLUMN quarantined_records.source_id IS 'Id in the source system, if it could be read.';
COMMENT ON COLUMN quarantined_records.quarantined_at IS 'When it was quarantined.';
