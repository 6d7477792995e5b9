-- Models and what became of them.
CREATE VIEW model_history AS
SELECT m.id AS model_version,
       m.kind,
       m.parent_id AS parent,
       m.foundation,
       m.stage,
       m.serving_rank,
       m.serving_rank IS NOT NULL
           AND m.serving_rank = (SELECT max(n.serving_rank) FROM model_version n) AS serves,
       s.name AS label_set,
       m.artifact_sha256,
       (m.metrics -> 'gate' ->> 'macro_f1')::double precision AS gate_macro_f1,
       m.created_at,
       m.promoted_at,
       (SELECT count(*) FROM classification c WHERE c.model_version_id = m.id) AS reports_labelled
FROM model_version m
JOIN label_set s ON s.id = m.label_set_id;

COMMENT ON VIEW model_history IS 'Model versions: where they come from, how good they were and what they labelled.';
COMMENT ON COLUMN model_history.model_version IS 'Model version.';
COMMENT ON COLUMN model_history.kind IS 'classifier.';
COMMENT ON COLUMN model_history.parent IS 'Version it came from.';
COMMENT ON COLUMN model_history.foundation IS 'Encoder it was fine-tuned from.';
COMMENT ON COLUMN model_history.stage IS 'candidate, production, withdrawn or rejected.';
COMMENT ON COLUMN model_history.serving_rank IS 'Order of promotion; null unless in production.';
COMMENT ON COLUMN model_history.serves IS 'Whether it labels new reports now.';
COMMENT ON COLUMN model_history.label_set IS 'Findings it names.';
COMMENT ON COLUMN model_history.artifact_sha256 IS 'Hash of its artifact''s manifest.';
COMMENT ON COLUMN model_history.gate_macro_f1 IS 'Macro F1 on its gate annotations when it was made.';
COMMENT ON COLUMN model_history.created_at IS 'When it was registered.';
COMMENT ON COLUMN model_history.promoted_at IS 'When it last began to serve.';
COMMENT ON COLUMN model_history.reports_labelled IS 'Report versions it has labelled.';
