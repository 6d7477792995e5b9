-- Every label of every label set, with its names, codes and column.
CREATE VIEW label_catalogue AS
SELECT s.name AS label_set,
       l.position,
       l.name AS label,
       l.korean_name,
       l.column_name,
       l.snomed_ct,
       l.radlex,
       coalesce(s.id = serving.label_set_id, false) AS serves
FROM label l
JOIN label_set s ON s.id = l.label_set_id
LEFT JOIN LATERAL (
    SELECT m.label_set_id FROM model_version m
    WHERE m.serving_rank IS NOT NULL ORDER BY m.serving_rank DESC LIMIT 1
) serving ON true;

COMMENT ON VIEW label_catalogue IS 'Every label of every label set, with its names, codes and column.';
COMMENT ON COLUMN label_catalogue.label_set IS 'Its set.';
COMMENT ON COLUMN label_catalogue.position IS 'Place in the set, from 1.';
COMMENT ON COLUMN label_catalogue.label IS 'English name.';
COMMENT ON COLUMN label_catalogue.korean_name IS 'Korean name.';
COMMENT ON COLUMN label_catalogue.column_name IS 'Its column in report_labels.';
COMMENT ON COLUMN label_catalogue.snomed_ct IS 'SNOMED CT concept id.';
COMMENT ON COLUMN label_catalogue.radlex IS 'RadLex id.';
COMMENT ON COLUMN label_catalogue.serves IS 'Whether the model that serves names this set.';
