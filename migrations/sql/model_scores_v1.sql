-- The matrix R[i][j]: after refresh i, the score on suite j. Only refreshes whose model came to serve, and was
-- not withdrawn, count; i is their order, and 0 is the model that the first of them went on from.
CREATE VIEW model_scores AS
WITH served AS (
    SELECT r.id, r.former_model_version_id AS former, r.model_version_id AS made,
           row_number() OVER (ORDER BY r.id) AS i
    FROM refresh_run r
    JOIN model_version m ON m.id = r.model_version_id
    WHERE m.promoted_at IS NOT NULL AND m.withdrawn_at IS NULL
),
measured AS (
    SELECT s.i, e.* FROM served s
    JOIN evaluation e ON e.refresh_run_id = s.id AND e.model_version_id = s.made
    UNION ALL
    SELECT 0, e.* FROM served s
    JOIN evaluation e ON e.refresh_run_id = s.id AND e.model_version_id = s.former
    WHERE s.i = 1
)
SELECT m.i AS refresh_number,
       m.refresh_run_id AS refresh,
       m.model_version_id AS model_version,
       m.metric,
       m.suite,
       -- What the first champion had not learnt from is learnt by the first refresh that measures it.
       min(m.i) FILTER (WHERE m.i > 0 OR m.earlier) OVER (PARTITION BY m.metric, m.suite) AS learnt_at,
       m.value AS score,
       m.low,
       m.high,
       m.items
FROM measured m
WHERE m.metric <> 'churn';

COMMENT ON VIEW model_scores IS 'The matrix R[i][j]: after refresh i, the score on suite j (a site, a language of sentence pairs, a stratum of the replay buffer). Only refreshes whose model came to serve and was not withdrawn count.';
COMMENT ON COLUMN model_scores.refresh_number IS 'i: order of the refresh; 0 is the model that the first one went on from.';
COMMENT ON COLUMN model_scores.refresh IS 'Refresh that measured it.';
COMMENT ON COLUMN model_scores.model_version IS 'Model version measured.';
COMMENT ON COLUMN model_scores.metric IS 'macro-f1, pearson or bits-per-byte.';
COMMENT ON COLUMN model_scores.suite IS 'j: on what it was measured.';
COMMENT ON COLUMN model_scores.learnt_at IS 'The i after which j first counts as learnt.';
COMMENT ON COLUMN model_scores.score IS 'R[i][j]; lower is better for bits per byte.';
COMMENT ON COLUMN model_scores.low IS 'Lower end of its 95 % interval, where there is one.';
COMMENT ON COLUMN model_scores.high IS 'Upper end of it.';
COMMENT ON COLUMN model_scores.items IS 'Reports, pairs or hidden words that it was measured on.';
