-- Models and what became of them.
CREATE OR REPLACE VIEW model_history AS
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
       (SELECT count(*) FROM classification c WHERE c.model_version_id = m.id) AS reports_labelled,
       m.created_by,
       m.promoted_by,
       m.withdrawn_at,
       m.withdrawn_by,
       m.stage_note,
       (SELECT r.id FROM refresh_run r WHERE r.model_version_id = m.id) AS refresh,
       m.language_model_sha256
FROM model_version m
JOIN label_set s ON s.id = m.label_set_id;

COMMENT ON COLUMN model_history.refresh IS 'Refresh that made it; see refresh_history. Null if it was trained by hand.';
COMMENT ON COLUMN model_history.language_model_sha256 IS 'Language model it was fine-tuned from; null if that was not kept.';
