-- prelude.sql: what DuckDB is told before it runs the SELECTs of this folder.
--
-- The SELECTs are written for Trino. Where DuckDB has a function of the same name that means
-- something else, or lacks it, the macro here gives it Trino's meaning; a Trino needs none of this.
-- Run once in every session, behind SET TimeZone = 'UTC'.

-- Complete units between two times (DuckDB's own counts the boundaries that lie between).
CREATE OR REPLACE TEMP MACRO date_diff(unit, a, b) AS date_sub(unit, a, b);

-- The time or day `n` units later. A day comes back as a time: the SELECTs cast it.
CREATE OR REPLACE TEMP MACRO date_add(unit, n, t) AS
    CASE unit
        WHEN 'second' THEN t + to_seconds(CAST(n AS DOUBLE))
        WHEN 'minute' THEN t + to_minutes(CAST(n AS BIGINT))
        WHEN 'hour' THEN t + to_hours(CAST(n AS BIGINT))
        WHEN 'day' THEN t + to_days(CAST(n AS INTEGER))
        WHEN 'week' THEN t + to_weeks(CAST(n AS INTEGER))
        WHEN 'month' THEN t + to_months(CAST(n AS INTEGER))
        WHEN 'year' THEN t + to_years(CAST(n AS INTEGER))
        ELSE error('date_add: no such unit: ' || unit)
    END;

-- Null where one of them is null (DuckDB's own pass over nulls).
CREATE OR REPLACE TEMP MACRO least(a, b) AS
    CASE WHEN a IS NULL OR b IS NULL THEN NULL WHEN a <= b THEN a ELSE b END;
CREATE OR REPLACE TEMP MACRO greatest(a, b) AS
    CASE WHEN a IS NULL OR b IS NULL THEN NULL WHEN a >= b THEN a ELSE b END;

-- The whole numbers from a to b, both included.
CREATE OR REPLACE TEMP MACRO sequence(a, b) AS generate_series(CAST(a AS BIGINT), CAST(b AS BIGINT));

-- 1 is Monday, 7 is Sunday.
CREATE OR REPLACE TEMP MACRO day_of_week(d) AS isodow(d);
CREATE OR REPLACE TEMP MACRO day_of_month(d) AS day(d);
CREATE OR REPLACE TEMP MACRO day_of_year(d) AS dayofyear(d);
CREATE OR REPLACE TEMP MACRO year_of_week(d) AS isoyear(d);

CREATE OR REPLACE TEMP MACRO cardinality(list) AS len(list);
