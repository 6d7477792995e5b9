-- Findings in the shape of OMOP CDM 5.4's NOTE_NLP.
CREATE VIEW note_nlp AS
SELECT c.classification_id * 10000 + l.position AS note_nlp_id,
       c.report_id AS note_id,
       0 AS section_concept_id,
       substr(r.text, f.sentence_start + 1, f.sentence_end - f.sentence_start) AS snippet,
       f.sentence_start::text AS "offset",
       (SELECT substr(r.text, f.starts[i] + 1, f.ends[i] - f.starts[i])
        FROM generate_subscripts(f.weights, 1) AS i
        ORDER BY f.weights[i] DESC, i LIMIT 1) AS lexical_variant,
       0 AS note_nlp_concept_id,
       0 AS note_nlp_source_concept_id,
       'nightread model ' || c.model_version_id AS nlp_system,
       c.labelled_at::date AS nlp_date,
       c.labelled_at AS nlp_datetime,
       'Y' AS term_exists,
       NULL::text AS term_temporal,
       format('label=%s, probability=%s', l.name, round(f.probability::numeric, 4)) AS term_modifiers
FROM current_classification c
JOIN report r ON r.id = c.report_id
JOIN finding f ON f.classification_id = c.classification_id
JOIN label l ON l.id = f.label_id;

COMMENT ON VIEW note_nlp IS 'Findings in the shape of OMOP CDM 5.4 NOTE_NLP.';
COMMENT ON COLUMN note_nlp.note_nlp_id IS 'Unique per finding.';
COMMENT ON COLUMN note_nlp.note_id IS 'Report version.';
COMMENT ON COLUMN note_nlp.section_concept_id IS 'Always 0: sections are not mapped.';
COMMENT ON COLUMN note_nlp.snippet IS 'Sentence that states the finding.';
COMMENT ON COLUMN note_nlp."offset" IS 'Its first character in the report, from 0.';
COMMENT ON COLUMN note_nlp.lexical_variant IS 'Word that weighs most.';
COMMENT ON COLUMN note_nlp.note_nlp_concept_id IS '0 until the label is mapped to a concept.';
COMMENT ON COLUMN note_nlp.note_nlp_source_concept_id IS '0 until the label is mapped to a concept.';
COMMENT ON COLUMN note_nlp.nlp_system IS 'Which model of Nightread.';
COMMENT ON COLUMN note_nlp.nlp_date IS 'Day it was written.';
COMMENT ON COLUMN note_nlp.nlp_datetime IS 'When it was written.';
COMMENT ON COLUMN note_nlp.term_exists IS 'Always Y: only positives are findings.';
COMMENT ON COLUMN note_nlp.term_temporal IS 'Not determined.';
COMMENT ON COLUMN note_nlp.term_modifiers IS 'Label and probability.';
