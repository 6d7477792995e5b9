-- Long form: one row per finding of a current report.
CREATE VIEW report_findings AS
SELECT c.report_id,
       c.site,
       c.accession,
       c.patient,
       c.study_at,
       c.received_at,
       l.name AS label,
       l.column_name,
       l.korean_name,
       f.probability,
       f.sentence_start,
       f.sentence_end,
       f.residual,
       c.model_version_id AS model_version,
       c.labelled_at,
       c.stale
FROM current_classification c
JOIN finding f ON f.classification_id = c.classification_id
JOIN label l ON l.id = f.label_id;

COMMENT ON VIEW report_findings IS 'One row per finding of a current report.';
COMMENT ON COLUMN report_findings.report_id IS 'Report version.';
COMMENT ON COLUMN report_findings.site IS 'Hospital.';
COMMENT ON COLUMN report_findings.accession IS 'Accession number.';
COMMENT ON COLUMN report_findings.patient IS 'Pseudonym of the patient.';
COMMENT ON COLUMN report_findings.study_at IS 'When the study was made.';
COMMENT ON COLUMN report_findings.received_at IS 'When this version was stored.';
COMMENT ON COLUMN report_findings.label IS 'English name of the finding.';
COMMENT ON COLUMN report_findings.column_name IS 'Its column in report_labels.';
COMMENT ON COLUMN report_findings.korean_name IS 'Korean name of the finding.';
COMMENT ON COLUMN report_findings.probability IS '0 to 1.';
COMMENT ON COLUMN report_findings.sentence_start IS 'First character of the sentence that says it, from 0.';
COMMENT ON COLUMN report_findings.sentence_end IS 'One past its last character.';
COMMENT ON COLUMN report_findings.residual IS 'Completeness residual of the heatmap, in logits.';
COMMENT ON COLUMN report_findings.model_version IS 'Model that said so.';
COMMENT ON COLUMN report_findings.labelled_at IS 'When it was written.';
COMMENT ON COLUMN report_findings.stale IS 'Whether a newer model serves and its labels are still to come.';
