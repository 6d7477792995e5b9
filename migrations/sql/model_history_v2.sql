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
       m.stage_note
FROM model_version m
JOIN label_set s ON s.id = m.label_set_id;

COMMENT ON COLUMN model_history.created_by IS 'Who made it.';
COMMENT ON COLUMN model_history.promoted_by IS 'Who last promoted it.';
COMMENT ON COLUMN model_history.withdrawn_at IS 'When a rollback withdrew it.';
COMMENT ON COLUMN model_history.withdrawn_by IS 'Who withdrew it.';
COMMENT ON COLUMN model_history.stage_note IS 'Why it was last promoted or withdrawn, in their words.';
