-- Long form: one row per finding of a current report.
CREATE OR REPLACE VIEW report_findings AS
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
       c.stale,
       l.snomed_ct,
       l.radlex
FROM current_classification c
JOIN finding f ON f.classification_id = c.classification_id
JOIN label l ON l.id = f.label_id;

COMMENT ON COLUMN report_findings.snomed_ct IS 'SNOMED CT concept of the finding.';
COMMENT ON COLUMN report_findings.radlex IS 'RadLex id of the finding.';
