-- What a new PostgreSQL needs before `nightread migrate`: two logins, the data team's two roles, the database.
-- Run once by psql as a superuser, with OWNER_PASSWORD and APP_PASSWORD in the environment; if one is not there, psql
-- sends the name as it stands and PostgreSQL refuses it. NIGHTREAD_TIMEZONE is the hospital's, else UTC.
\set ON_ERROR_STOP on
\set timezone UTC
\getenv owner_password OWNER_PASSWORD
\getenv app_password APP_PASSWORD
\getenv timezone NIGHTREAD_TIMEZONE

-- No log may keep the two passwords.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';

CREATE ROLE nightread_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE nightread_app LOGIN PASSWORD :'app_password';
-- People get logins of their own and become members of one of these.
CREATE ROLE nightread_analyst NOLOGIN;
CREATE ROLE nightread_reader NOLOGIN;

-- The built-in C.UTF-8 never changes under the indexes when the machine is upgraded.
CREATE DATABASE nightread OWNER nightread_owner TEMPLATE template0
    ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8';
REVOKE CONNECT ON DATABASE nightread FROM PUBLIC;
GRANT CONNECT ON DATABASE nightread TO nightread_app, nightread_analyst, nightread_reader;

-- A day in the views is the hospital's day.
ALTER DATABASE nightread SET timezone = :'timezone';
-- Report text stays in its column: no statement, DETAIL or CONTEXT in the server's log, and no ERROR, which may quote
-- the value that it refuses.
ALTER DATABASE nightread SET log_min_messages = 'log';
ALTER DATABASE nightread SET log_min_error_statement = 'panic';
ALTER DATABASE nightread SET log_error_verbosity = 'terse';
ALTER DATABASE nightread SET log_statement = 'none';
ALTER DATABASE nightread SET log_min_duration_statement = -1;
