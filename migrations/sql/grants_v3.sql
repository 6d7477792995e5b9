-- Who may do what with what came since grants_v2.
GRANT SELECT, INSERT, UPDATE ON refresh_run, refresh_item TO nightread_app;
-- The buffer is bounded, and a withdrawn report leaves it.
GRANT SELECT, INSERT, UPDATE, DELETE ON replay_item TO nightread_app;
GRANT SELECT, INSERT ON evaluation, drift_signal TO nightread_app;
GRANT SELECT ON replay_strata, drift_signals, refresh_history, model_scores, model_forgetting
    TO nightread_analyst, nightread_reader, nightread_app;
