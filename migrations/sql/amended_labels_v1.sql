-- What an amendment did to the labels: the current version beside the last one before it that a model has read.
CREATE VIEW amended_labels AS
SELECT now.report_id,
       before.report_id AS former_report_id,
       now.site,
       now.source_system,
       now.source_id,
       now.version,
       before.version AS former_version,
       now.accession,
       now.study_at,
       now.received_at,
       l.name AS label,
       l.column_name,
       now.probabilities[l.position] AS probability,
       before.probabilities[l.position] AS former_probability,
       now.probabilities[l.position] >= now.thresholds[l.position] AS positive,
       before.probabilities[l.position] >= before.thresholds[l.position] AS former_positive,
       (now.probabilities[l.position] >= now.thresholds[l.position])
           <> (before.probabilities[l.position] >= before.thresholds[l.position]) AS changed,
       now.model_version_id AS model_version,
       before.model_version_id AS former_model_version
FROM current_classification now
JOIN LATERAL (
    SELECT f.id AS report_id, f.version, c.model_version_id, c.probabilities, m.thresholds
    FROM report f
    JOIN classification c ON c.report_id = f.id
    JOIN model_version m ON m.id = c.model_version_id
    WHERE f.site = now.site AND f.source_system = now.source_system AND f.source_id = now.source_id
      AND f.version < now.version AND m.label_set_id = now.label_set_id AND m.serving_rank IS NOT NULL
    ORDER BY f.version DESC, m.serving_rank DESC LIMIT 1
) before ON true
JOIN label l ON l.label_set_id = now.label_set_id
WHERE now.version > 1;

COMMENT ON VIEW amended_labels IS 'One row per current, amended report and label: what is said of it, and what was said of the last version before it that was labelled.';
COMMENT ON COLUMN amended_labels.report_id IS 'Report version that stands.';
COMMENT ON COLUMN amended_labels.former_report_id IS 'The last version before it that was labelled.';
COMMENT ON COLUMN amended_labels.site IS 'Hospital.';
COMMENT ON COLUMN amended_labels.source_system IS 'System that numbers the reports.';
COMMENT ON COLUMN amended_labels.source_id IS 'Id in that system.';
COMMENT ON COLUMN amended_labels.version IS 'Version that stands, from 2.';
COMMENT ON COLUMN amended_labels.former_version IS 'The version before it, from 1.';
COMMENT ON COLUMN amended_labels.accession IS 'Accession number.';
COMMENT ON COLUMN amended_labels.study_at IS 'When the study was made.';
COMMENT ON COLUMN amended_labels.received_at IS 'When the version that stands was stored.';
COMMENT ON COLUMN amended_labels.label IS 'English name of the label.';
COMMENT ON COLUMN amended_labels.column_name IS 'Its column in report_labels.';
COMMENT ON COLUMN amended_labels.probability IS '0 to 1.';
COMMENT ON COLUMN amended_labels.former_probability IS '0 to 1, of the former version.';
COMMENT ON COLUMN amended_labels.positive IS 'Whether it is found.';
COMMENT ON COLUMN amended_labels.former_positive IS 'Whether it was found in the former version.';
COMMENT ON COLUMN amended_labels.changed IS 'Whether the two differ.';
COMMENT ON COLUMN amended_labels.model_version IS 'Model that read the version that stands.';
COMMENT ON COLUMN amended_labels.former_model_version IS 'Model that read the former one; if it is another, the model may have changed and not the report.';
