-- Received = labelled + pending + dead + withdrawn, per site.
CREATE VIEW completeness AS
SELECT site,
       count(*) AS received,
       count(*) FILTER (WHERE state = 'labelled') AS labelled,
       count(*) FILTER (WHERE state = 'pending') AS pending,
       count(*) FILTER (WHERE state = 'dead') AS dead,
       count(*) FILTER (WHERE state = 'withdrawn') AS withdrawn,
       count(*) FILTER (WHERE stale) AS stale
FROM report_state
GROUP BY site;

COMMENT ON VIEW completeness IS 'Current report versions by state and site: received = labelled + pending + dead + withdrawn.';
COMMENT ON COLUMN completeness.site IS 'Hospital.';
COMMENT ON COLUMN completeness.received IS 'Reports we hold.';
COMMENT ON COLUMN completeness.labelled IS 'With labels of a model in production.';
COMMENT ON COLUMN completeness.pending IS 'Still to be labelled.';
COMMENT ON COLUMN completeness.dead IS 'Given up after repeated failures; see dead_letters.';
COMMENT ON COLUMN completeness.withdrawn IS 'Withdrawn by the source.';
COMMENT ON COLUMN completeness.stale IS 'Labelled, but by an older model than the one that serves.';
