-- How often each label was found, by day of the study (of its arrival, where the study has no date). What a day is
-- depends on the time zone of the session, so no index can hold it: the months that there are come from the indexes of
-- both times, one step a month, and each day's reports from there. Steps, because one study dated 9999 would make a
-- calendar from the first day to the last very long.
CREATE OR REPLACE VIEW daily_prevalence AS
WITH RECURSIVE month (first_day) AS (
    SELECT date_trunc('month', least(
        (SELECT min(r.study_at) FROM report r WHERE r.is_current),
        (SELECT min(r.received_at) FROM report r)
    ))::date
    UNION ALL
    SELECT date_trunc('month', least(
        (SELECT min(r.study_at) FROM report r
         WHERE r.is_current AND r.study_at >= month.first_day + interval '1 month'),
        (SELECT min(r.received_at) FROM report r WHERE r.received_at >= month.first_day + interval '1 month')
    ))::date
    FROM month WHERE month.first_day IS NOT NULL
),
calendar AS (
    SELECT month.first_day + n AS day FROM month CROSS JOIN generate_series(0, 30) AS n
    WHERE month.first_day + n < month.first_day + interval '1 month'
)
SELECT calendar.day, one.site, one.label, one.column_name, one.reports, one.positives, one.prevalence
FROM calendar
-- Day by day: grouped in here, PostgreSQL cannot join the days with all reports instead, and expects few of a day.
CROSS JOIN LATERAL (
    SELECT p.site,
           p.label,
           p.column_name,
           count(*) AS reports,
           count(*) FILTER (WHERE p.positive) AS positives,
           (count(*) FILTER (WHERE p.positive))::double precision / count(*) AS prevalence
    FROM label_probabilities p
    WHERE p.study_at >= calendar.day AND p.study_at < calendar.day + 1
       OR p.study_at IS NULL AND p.received_at >= calendar.day AND p.received_at < calendar.day + 1
    GROUP BY p.site, p.label, p.column_name
) one;
