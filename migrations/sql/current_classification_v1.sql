-- For each current, standing report: what the newest model that serves or served says.
CREATE VIEW current_classification AS
SELECT r.id AS report_id,
       r.site,
       r.source_system,
       r.source_id,
       r.version,
       r.accession,
       r.patient,
       r.study_at,
       r.issued_at,
       r.received_at,
       r.code,
       r.modality,
       r.language,
       r.flagged_at IS NOT NULL AS flagged,
       c.id AS classification_id,
       c.model_version_id,
       c.label_set_id,
       c.classified_at AS labelled_at,
       c.serving_rank < (SELECT max(m.serving_rank) FROM model_version m) AS stale,
       c.probabilities,
       c.thresholds
FROM report r
JOIN LATERAL (
    SELECT c.id, c.model_version_id, m.label_set_id, c.classified_at, m.serving_rank, c.probabilities, m.thresholds
    FROM classification c JOIN model_version m ON m.id = c.model_version_id
    WHERE c.report_id = r.id AND m.serving_rank IS NOT NULL
    ORDER BY m.serving_rank DESC LIMIT 1
) c ON true
WHERE r.is_current AND r.withdrawn_at IS NULL;

COMMENT ON VIEW current_classification IS 'Current reports with the classification that is shown: by the newest model in production that has read them.';
COMMENT ON COLUMN current_classification.report_id IS 'Report version.';
COMMENT ON COLUMN current_classification.site IS 'Hospital.';
COMMENT ON COLUMN current_classification.source_system IS 'System that numbers the reports.';
COMMENT ON COLUMN current_classification.source_id IS 'Id in that system.';
COMMENT ON COLUMN current_classification.version IS 'Version of the report, from 1.';
COMMENT ON COLUMN current_classification.accession IS 'Accession number; unique only within a site.';
COMMENT ON COLUMN current_classification.patient IS 'Pseudonym of the patient.';
COMMENT ON COLUMN current_classification.study_at IS 'When the study was made.';
COMMENT ON COLUMN current_classification.issued_at IS 'When the report was issued.';
COMMENT ON COLUMN current_classification.received_at IS 'When this version was stored.';
COMMENT ON COLUMN current_classification.code IS 'Code of the examination.';
COMMENT ON COLUMN current_classification.modality IS 'Modality.';
COMMENT ON COLUMN current_classification.language IS 'ko, en or mixed.';
COMMENT ON COLUMN current_classification.flagged IS 'Whether a quarantined amendment means that the text may be out of date.';
COMMENT ON COLUMN current_classification.classification_id IS 'Classification that is shown.';
COMMENT ON COLUMN current_classification.model_version_id IS 'Model that made it.';
COMMENT ON COLUMN current_classification.label_set_id IS 'Label set of that model.';
COMMENT ON COLUMN current_classification.labelled_at IS 'When it was written.';
COMMENT ON COLUMN current_classification.stale IS 'Whether a newer model serves and its labels are still to come.';
COMMENT ON COLUMN current_classification.probabilities IS '0 to 1 by label position.';
COMMENT ON COLUMN current_classification.thresholds IS 'Positive from here, by label position.';
