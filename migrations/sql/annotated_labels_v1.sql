-- What people say of a report beside what is shown of it. Annotations come in files, so they are matched by hospital and
-- id, as `annotations export` writes them, or by accession number.
CREATE VIEW annotated_labels AS
SELECT c.report_id,
       c.site,
       l.name AS label,
       l.column_name,
       reading.annotator,
       reading.decides,
       reading.labels[l.position] = 1 AS annotated,
       a.labels[l.position] = 1 AS consensus,
       c.probabilities[l.position] AS probability,
       c.probabilities[l.position] >= c.thresholds[l.position] AS positive,
       c.model_version_id AS model_version,
       a.split,
       EXISTS (
           SELECT FROM fitted_on f WHERE f.model_version_id = c.model_version_id AND f.annotation_id = a.id
       ) AS fitted,
       a.imported_at
FROM annotation a
JOIN annotation_reading reading ON reading.annotation_id = a.id
JOIN current_classification c
  ON c.site = a.site AND (c.source_id = a.source_id OR c.accession = a.source_id) AND c.label_set_id = a.label_set_id
JOIN label l ON l.label_set_id = a.label_set_id
-- An amendment that came after the annotation is another text.
WHERE c.version = 1 OR c.received_at <= a.imported_at;

COMMENT ON VIEW annotated_labels IS 'One row per current report, label and annotator: what the annotator says and what the labels shown say. Reports are matched with annotations by hospital and id or accession number.';
COMMENT ON COLUMN annotated_labels.report_id IS 'Report version.';
COMMENT ON COLUMN annotated_labels.site IS 'Hospital.';
COMMENT ON COLUMN annotated_labels.label IS 'English name of the label.';
COMMENT ON COLUMN annotated_labels.column_name IS 'Its column in report_labels.';
COMMENT ON COLUMN annotated_labels.annotator IS 'Who read it; unknown if the file named nobody.';
COMMENT ON COLUMN annotated_labels.decides IS 'Whether this reading settles disputes between the others.';
COMMENT ON COLUMN annotated_labels.annotated IS 'Whether this annotator found it.';
COMMENT ON COLUMN annotated_labels.consensus IS 'What the readings of all annotators come to.';
COMMENT ON COLUMN annotated_labels.probability IS 'The model''s, 0 to 1.';
COMMENT ON COLUMN annotated_labels.positive IS 'Whether the model found it.';
COMMENT ON COLUMN annotated_labels.model_version IS 'Model that said so.';
COMMENT ON COLUMN annotated_labels.split IS 'train, calibration or gate.';
COMMENT ON COLUMN annotated_labels.fitted IS 'Whether this model, or its thresholds, were fitted on the annotation; agreement there flatters.';
COMMENT ON COLUMN annotated_labels.imported_at IS 'When the annotation was first imported.';
