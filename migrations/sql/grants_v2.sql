-- Who may do what with what came since grants_v1.
GRANT SELECT, INSERT, UPDATE ON annotation_reading, schedule_pause TO nightread_app;
GRANT SELECT, INSERT ON job_failure TO nightread_app;
GRANT SELECT ON dead_letter_history, feed_state, label_catalogue
    TO nightread_analyst, nightread_reader, nightread_app;
