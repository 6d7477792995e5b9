-- The wide view follows the label set, also when its columns or names change. It runs with the owner's rights, so that promoting a model needs no
-- right to alter the schema; its only input is a number, and every name is quoted by format().
CREATE OR REPLACE FUNCTION generate_report_labels(wanted bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    columns text;
    one record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('nightread.report_labels'));
    -- Rebuilt only if it would come out different: other views may depend on it.
    IF EXISTS (
        SELECT 1 FROM pg_description
        WHERE objoid = to_regclass('report_labels') AND objsubid = 0
          AND description LIKE format('%% (label set %s)', wanted)
    ) AND NOT EXISTS (
        SELECT 1 FROM label l
        WHERE l.label_set_id = wanted AND NOT EXISTS (
            SELECT 1 FROM pg_attribute a
            WHERE a.attrelid = to_regclass('report_labels') AND a.attname = l.column_name
        )
    ) THEN
        EXECUTE (
            SELECT string_agg(format(
                'COMMENT ON COLUMN report_labels.%I IS %L', l.column_name,
                format('Whether the report states: %s', concat_ws(' / ', l.name, l.korean_name))
            ), '; ') FROM label l WHERE l.label_set_id = wanted
        );
        RETURN;
    END IF;
    SELECT string_agg(
        format(
            'CASE WHEN c.label_set_id = %s THEN c.probabilities[%s] >= c.thresholds[%s] END AS %I',
            wanted, position, position, column_name
        ), E',\n' ORDER BY position
    ) INTO columns FROM label WHERE label_set_id = wanted;
    IF columns IS NULL THEN
        RAISE EXCEPTION 'label set % has no labels', wanted;
    END IF;
    BEGIN
        DROP VIEW IF EXISTS report_labels;
    EXCEPTION WHEN dependent_objects_still_exist THEN
        -- The constraint's name is what the application shows of an error.
        RAISE EXCEPTION 'other views depend on report_labels; drop them first and make them again afterwards'
            USING ERRCODE = 'dependent_objects_still_exist', CONSTRAINT = 'views_depend_on_report_labels';
    END;
    EXECUTE format($view$
        CREATE VIEW report_labels AS
        SELECT c.report_id, c.site, c.source_system, c.source_id, c.version, c.accession, c.patient, c.study_at,
               c.received_at, c.language, c.flagged, c.model_version_id AS model_version, c.labelled_at, c.stale,
               %s
        FROM current_classification c
    $view$, columns);
    EXECUTE format('COMMENT ON VIEW report_labels IS %L', format(
        'One row per current labelled report, one column a finding: true if found (label set %s)', wanted));
    FOR one IN
        SELECT a.attname AS name,
               coalesce(
                   (SELECT format('Whether the report states: %s', concat_ws(' / ', l.name, l.korean_name))
                    FROM label l WHERE l.label_set_id = wanted AND l.column_name = a.attname),
                   (SELECT col_description('current_classification'::regclass, b.attnum)
                    FROM pg_attribute b
                    WHERE b.attrelid = 'current_classification'::regclass
                      AND b.attname = CASE a.attname WHEN 'model_version' THEN 'model_version_id' ELSE a.attname END)
               ) AS comment
        FROM pg_attribute a
        WHERE a.attrelid = 'report_labels'::regclass AND a.attnum > 0
    LOOP
        EXECUTE format('COMMENT ON COLUMN report_labels.%I IS %L', one.name, one.comment);
    END LOOP;
    GRANT SELECT ON report_labels TO nightread_analyst, nightread_reader, nightread_app;
END
$$;

