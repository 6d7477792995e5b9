-- The heatmaps with the report's own words. Offsets count characters, as substr does in a UTF-8 database.
CREATE VIEW finding_words AS
SELECT c.report_id,
       c.site,
       c.accession,
       l.name AS label,
       l.column_name,
       f.probability,
       span.word_index,
       substr(r.text, span.word_start + 1, span.word_end - span.word_start) AS word,
       span.weight,
       span.word_start,
       span.word_end,
       c.model_version_id AS model_version,
       c.labelled_at
FROM current_classification c
JOIN report r ON r.id = c.report_id
JOIN finding f ON f.classification_id = c.classification_id
JOIN label l ON l.id = f.label_id
CROSS JOIN LATERAL unnest(f.starts, f.ends, f.weights)
    WITH ORDINALITY AS span (word_start, word_end, weight, word_index);

COMMENT ON VIEW finding_words IS 'One row per finding and word, with the word as it stands in the report.';
COMMENT ON COLUMN finding_words.report_id IS 'Report version.';
COMMENT ON COLUMN finding_words.site IS 'Hospital.';
COMMENT ON COLUMN finding_words.accession IS 'Accession number.';
COMMENT ON COLUMN finding_words.label IS 'English name of the finding.';
COMMENT ON COLUMN finding_words.column_name IS 'Its column in report_labels.';
COMMENT ON COLUMN finding_words.probability IS 'Probability of the finding, 0 to 1.';
COMMENT ON COLUMN finding_words.word_index IS 'Order of the word within the heatmap, from 1.';
COMMENT ON COLUMN finding_words.word IS 'The report''s own characters.';
COMMENT ON COLUMN finding_words.weight IS 'Signed share of the word in the label''s logit: positive speaks for the finding.';
COMMENT ON COLUMN finding_words.word_start IS 'First character of the word, from 0.';
COMMENT ON COLUMN finding_words.word_end IS 'One past its last character.';
COMMENT ON COLUMN finding_words.model_version IS 'Model that said so.';
COMMENT ON COLUMN finding_words.labelled_at IS 'When it was written.';
