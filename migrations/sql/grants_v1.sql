-- Who may do what. Tables hold text, so the data team reads views only.
GRANT USAGE ON SCHEMA public TO nightread_app, nightread_analyst, nightread_reader;

GRANT SELECT, INSERT, UPDATE ON
    feed, skipped_count, report, quarantine, job, schedule_tick, label_set, label, annotation, model_version
    TO nightread_app;
-- Facts and history are only ever added.
GRANT SELECT, INSERT ON event, classification, finding, fitted_on TO nightread_app;
GRANT SELECT ON alembic_version TO nightread_app;

GRANT SELECT ON
    report_state, completeness, current_classification, label_probabilities, report_findings, finding_spans,
    daily_prevalence, classification_history, run_summary, model_history, dead_letters, quarantined_records
    TO nightread_analyst, nightread_reader, nightread_app;
GRANT SELECT ON finding_words, report_texts, note_nlp TO nightread_reader, nightread_app;
