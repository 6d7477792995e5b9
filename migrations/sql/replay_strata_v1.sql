-- What is in the replay buffer, by stratum. General text has neither site nor period.
CREATE VIEW replay_strata AS
SELECT i.site,
       i.language,
       i.period,
       count(*) FILTER (WHERE NOT i.held_out) AS kept,
       count(*) FILTER (WHERE i.held_out) AS held_out,
       min(i.added_at) AS oldest_added_at,
       max(i.added_at) AS newest_added_at
FROM replay_item i
GROUP BY i.site, i.language, i.period;

COMMENT ON VIEW replay_strata IS 'What is in the replay buffer, by stratum: site, language and quarter, or general text by language.';
COMMENT ON COLUMN replay_strata.site IS 'Hospital; null for general text.';
COMMENT ON COLUMN replay_strata.language IS 'ko, en or mixed.';
COMMENT ON COLUMN replay_strata.period IS 'Quarter of the study, e.g. 2026-Q4; null for general text.';
COMMENT ON COLUMN replay_strata.kept IS 'Texts kept to train on.';
COMMENT ON COLUMN replay_strata.held_out IS 'Texts kept to measure forgetting on; never trained on.';
COMMENT ON COLUMN replay_strata.oldest_added_at IS 'When the oldest of them came in.';
COMMENT ON COLUMN replay_strata.newest_added_at IS 'When the newest of them came in.';
