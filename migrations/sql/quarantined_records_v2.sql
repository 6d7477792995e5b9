-- What was not taken in, and what became of it.
CREATE OR REPLACE VIEW quarantined_records AS
SELECT id AS quarantine_id, feed, place, reason, source_id, quarantined_at,
       kinds, released_at, released_by, release_note, release_outcome, released_report_id
FROM quarantine;

COMMENT ON VIEW quarantined_records IS 'Records that were not taken in, with place and reason, and who released them.';
COMMENT ON COLUMN quarantined_records.kinds IS 'Kinds of identifying data that the text held; never the data.';
COMMENT ON COLUMN quarantined_records.released_at IS 'When someone released it and it was read again; null if it still is in quarantine.';
COMMENT ON COLUMN quarantined_records.released_by IS 'Who released it.';
COMMENT ON COLUMN quarantined_records.release_note IS 'Why, in their words.';
COMMENT ON COLUMN quarantined_records.release_outcome IS 'What reading it again came to, e.g. new.';
COMMENT ON COLUMN quarantined_records.released_report_id IS 'Report version that it became, if it did.';
