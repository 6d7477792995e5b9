-- Every label of every current report, positive or not.
CREATE VIEW label_probabilities AS
SELECT c.report_id,
       c.site,
       c.accession,
       c.study_at,
       c.received_at,
       l.name AS label,
       l.column_name,
       c.probabilities[l.position] AS probability,
       c.thresholds[l.position] AS threshold,
       c.probabilities[l.position] >= c.thresholds[l.position] AS positive,
       c.model_version_id AS model_version,
       c.labelled_at,
       c.stale
FROM current_classification c
JOIN label l ON l.label_set_id = c.label_set_id;

COMMENT ON VIEW label_probabilities IS 'One row per current report and label, positive or not, with probability and threshold.';
COMMENT ON COLUMN label_probabilities.report_id IS 'Report version.';
COMMENT ON COLUMN label_probabilities.site IS 'Hospital.';
COMMENT ON COLUMN label_probabilities.accession IS 'Accession number.';
COMMENT ON COLUMN label_probabilities.study_at IS 'When the study was made.';
COMMENT ON COLUMN label_probabilities.received_at IS 'When this version was stored.';
COMMENT ON COLUMN label_probabilities.label IS 'English name of the label.';
COMMENT ON COLUMN label_probabilities.column_name IS 'Its column in report_labels.';
COMMENT ON COLUMN label_probabilities.probability IS '0 to 1.';
COMMENT ON COLUMN label_probabilities.threshold IS 'Positive from here.';
COMMENT ON COLUMN label_probabilities.positive IS 'Whether the label was found.';
COMMENT ON COLUMN label_probabilities.model_version IS 'Model that said so.';
COMMENT ON COLUMN label_probabilities.labelled_at IS 'When it was written.';
COMMENT ON COLUMN label_probabilities.stale IS 'Whether a newer model serves and its labels are still to come.';
