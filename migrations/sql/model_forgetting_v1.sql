-- What refreshes did to what was learnt before (Lopez-Paz and Ranzato, 2017; Chaudhry et al., 2018).
CREATE VIEW model_forgetting AS
WITH scored AS (  -- so that more is always better
    SELECT s.*, CASE s.metric WHEN 'bits-per-byte' THEN -s.score ELSE s.score END AS good
    FROM model_scores s
    WHERE s.refresh_number >= s.learnt_at
),
held AS (
    SELECT s.*,
           first_value(s.good) OVER (PARTITION BY s.metric, s.suite ORDER BY s.refresh_number) AS when_learnt,
           max(s.good) OVER (
               PARTITION BY s.metric, s.suite ORDER BY s.refresh_number
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
           ) AS best_before
    FROM scored s
)
SELECT h.refresh_number,
       h.refresh,
       h.model_version,
       h.metric,
       count(*) AS suites,
       avg(h.score) AS average,
       avg(h.good - h.when_learnt) FILTER (WHERE h.refresh_number > h.learnt_at) AS backward_transfer,
       avg(h.best_before - h.good) FILTER (WHERE h.refresh_number > h.learnt_at) AS forgetting
FROM held h
GROUP BY h.refresh_number, h.refresh, h.model_version, h.metric;

COMMENT ON VIEW model_forgetting IS 'What each refresh did to what was learnt before, by metric. R[i][j] is the score in model_scores, its sign turned for bits per byte so that more is better.';
COMMENT ON COLUMN model_forgetting.refresh_number IS 'i: order of the refresh; 0 is the model that the first one went on from.';
COMMENT ON COLUMN model_forgetting.refresh IS 'Refresh that measured it.';
COMMENT ON COLUMN model_forgetting.model_version IS 'Model version measured.';
COMMENT ON COLUMN model_forgetting.metric IS 'macro-f1, pearson or bits-per-byte.';
COMMENT ON COLUMN model_forgetting.suites IS 'Suites learnt by then, n.';
COMMENT ON COLUMN model_forgetting.average IS 'Average accuracy: 1/n times the sum over j of the scores after i; lower is better for bits per byte.';
COMMENT ON COLUMN model_forgetting.backward_transfer IS 'Mean over the suites j learnt before i of R[i][j] - R[learnt_at(j)][j]; below zero is forgotten (Lopez-Paz and Ranzato, 2017). Null if none was.';
COMMENT ON COLUMN model_forgetting.forgetting IS 'Mean over the suites j learnt before i of max R[l][j] for learnt_at(j) <= l < i, less R[i][j]; above zero is forgotten (Chaudhry et al., 2018). Null if none was.';
