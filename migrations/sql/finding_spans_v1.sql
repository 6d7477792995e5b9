-- The heatmaps without text: where the words stand and what they weigh.
CREATE VIEW finding_spans AS
SELECT c.report_id,
       c.site,
       c.accession,
       l.name AS label,
       l.column_name,
       f.probability,
       span.word_index,
       span.word_start,
       span.word_end,
       span.weight,
       c.model_version_id AS model_version,
       c.labelled_at
FROM current_classification c
JOIN finding f ON f.classification_id = c.classification_id
JOIN label l ON l.id = f.label_id
CROSS JOIN LATERAL unnest(f.starts, f.ends, f.weights)
    WITH ORDINALITY AS span (word_start, word_end, weight, word_index);

COMMENT ON VIEW finding_spans IS 'One row per finding and word: character offsets and weight, no text.';
COMMENT ON COLUMN finding_spans.report_id IS 'Report version.';
COMMENT ON COLUMN finding_spans.site IS 'Hospital.';
COMMENT ON COLUMN finding_spans.accession IS 'Accession number.';
COMMENT ON COLUMN finding_spans.label IS 'English name of the finding.';
COMMENT ON COLUMN finding_spans.column_name IS 'Its column in report_labels.';
COMMENT ON COLUMN finding_spans.probability IS 'Probability of the finding, 0 to 1.';
COMMENT ON COLUMN finding_spans.word_index IS 'Order of the word within the heatmap, from 1.';
COMMENT ON COLUMN finding_spans.word_start IS 'First character of the word, from 0.';
COMMENT ON COLUMN finding_spans.word_end IS 'One past its last character.';
COMMENT ON COLUMN finding_spans.weight IS 'Signed share of the word in the label''s logit: positive speaks for the finding.';
COMMENT ON COLUMN finding_spans.model_version IS 'Model that said so.';
COMMENT ON COLUMN finding_spans.labelled_at IS 'When it was written.';
