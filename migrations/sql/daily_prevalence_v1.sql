-- How often each label was found, by day of the study (of its arrival, where the study has no date).
CREATE VIEW daily_prevalence AS
SELECT coalesce(study_at, received_at)::date AS day,
       site,
       label,
       column_name,
       count(*) AS reports,
       count(*) FILTER (WHERE positive) AS positives,
       (count(*) FILTER (WHERE positive))::double precision / count(*) AS prevalence
FROM label_probabilities
GROUP BY 1, 2, 3, 4;

COMMENT ON VIEW daily_prevalence IS 'How often each label was found, by day and site.';
COMMENT ON COLUMN daily_prevalence.day IS 'Day of the study, or of arrival where the study has no date.';
COMMENT ON COLUMN daily_prevalence.site IS 'Hospital.';
COMMENT ON COLUMN daily_prevalence.label IS 'English name of the label.';
COMMENT ON COLUMN daily_prevalence.column_name IS 'Its column in report_labels.';
COMMENT ON COLUMN daily_prevalence.reports IS 'Labelled reports.';
COMMENT ON COLUMN daily_prevalence.positives IS 'Those with the finding.';
COMMENT ON COLUMN daily_prevalence.prevalence IS 'Their share, 0 to 1.';
