-- The texts, for those who may read them.
CREATE VIEW report_texts AS
SELECT id AS report_id, site, source_system, source_id, version, accession, study_at, language, text
FROM report
WHERE is_current AND withdrawn_at IS NULL;

COMMENT ON VIEW report_texts IS 'Texts of the current reports.';
COMMENT ON COLUMN report_texts.report_id IS 'Report version.';
COMMENT ON COLUMN report_texts.site IS 'Hospital.';
COMMENT ON COLUMN report_texts.source_system IS 'System that numbers the reports.';
COMMENT ON COLUMN report_texts.source_id IS 'Id in that system.';
COMMENT ON COLUMN report_texts.version IS 'Version of the report, from 1.';
COMMENT ON COLUMN report_texts.accession IS 'Accession number.';
COMMENT ON COLUMN report_texts.study_at IS 'When the study was made.';
COMMENT ON COLUMN report_texts.language IS 'ko, en or mixed.';
COMMENT ON COLUMN report_texts.text IS 'The report.';
