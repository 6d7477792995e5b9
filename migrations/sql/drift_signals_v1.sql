-- How far new reports are from what the serving model knows, night by night.
CREATE VIEW drift_signals AS
SELECT d.measured_at,
       d.measured_at = (SELECT max(n.measured_at) FROM drift_signal n) AS is_newest,
       d.site,
       d.signal,
       l.name AS label,
       d.value,
       d.reference,
       d.drift,
       d.threshold,
       coalesce(d.drift > d.threshold, false) AS exceeded,
       d.reports,
       d.model_version_id AS model_version
FROM drift_signal d
LEFT JOIN label l ON l.id = d.label_id;

COMMENT ON VIEW drift_signals IS 'How far the new reports of a site are from what the serving model knows, night by night.';
COMMENT ON COLUMN drift_signals.measured_at IS 'When; one time for all of a night.';
COMMENT ON COLUMN drift_signals.is_newest IS 'Whether it is of the last night that was measured.';
COMMENT ON COLUMN drift_signals.site IS 'Hospital.';
COMMENT ON COLUMN drift_signals.signal IS 'unknown-pieces, fertility, bits-per-byte, prevalence or uncertain-labels.';
COMMENT ON COLUMN drift_signals.label IS 'Finding, for prevalence; null otherwise.';
COMMENT ON COLUMN drift_signals.value IS 'Measured on the new reports.';
COMMENT ON COLUMN drift_signals.reference IS 'The same on reports known before; null if there are none.';
COMMENT ON COLUMN drift_signals.drift IS 'What is held against the threshold: a rise over the reference, or for prevalence the population stability index; null without a reference.';
COMMENT ON COLUMN drift_signals.threshold IS 'Above it a refresh is due; null: never.';
COMMENT ON COLUMN drift_signals.exceeded IS 'Whether it is above its threshold.';
COMMENT ON COLUMN drift_signals.reports IS 'New reports that it was measured on.';
COMMENT ON COLUMN drift_signals.model_version IS 'Model that served.';
