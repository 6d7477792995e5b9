-- Who may do what with what came since grants_v3.
GRANT SELECT ON amended_labels, annotated_labels
    TO nightread_analyst, nightread_reader, nightread_app;
