-- Which model said what of which version, and when: nothing is ever taken out.
CREATE VIEW classification_history AS
SELECT r.id AS report_id,
       r.site,
       r.source_system,
       r.source_id,
       r.version,
       r.is_current,
       r.withdrawn_at,
       m.id AS model_version,
       m.stage AS model_stage,
       l.name AS label,
       l.column_name,
       c.probabilities[l.position] AS probability,
       c.probabilities[l.position] >= m.thresholds[l.position] AS positive,
       c.classified_at
FROM classification c
JOIN report r ON r.id = c.report_id
JOIN model_version m ON m.id = c.model_version_id
JOIN label l ON l.label_set_id = m.label_set_id;

COMMENT ON VIEW classification_history IS 'Everything any model ever said of any report version.';
COMMENT ON COLUMN classification_history.report_id IS 'Report version.';
COMMENT ON COLUMN classification_history.site IS 'Hospital.';
COMMENT ON COLUMN classification_history.source_system IS 'System that numbers the reports.';
COMMENT ON COLUMN classification_history.source_id IS 'Id in that system.';
COMMENT ON COLUMN classification_history.version IS 'Version of the report, from 1.';
COMMENT ON COLUMN classification_history.is_current IS 'Whether this is the newest version.';
COMMENT ON COLUMN classification_history.withdrawn_at IS 'When the report was withdrawn, if it was.';
COMMENT ON COLUMN classification_history.model_version IS 'Model.';
COMMENT ON COLUMN classification_history.model_stage IS 'Where that model stands now.';
COMMENT ON COLUMN classification_history.label IS 'English name of the label.';
COMMENT ON COLUMN classification_history.column_name IS 'Its column in report_labels.';
COMMENT ON COLUMN classification_history.probability IS '0 to 1.';
COMMENT ON COLUMN classification_history.positive IS 'Whether it was at or above that model''s threshold.';
COMMENT ON COLUMN classification_history.classified_at IS 'When it was written.';
