#!/bin/sh
# Runs once, when the data folder is new: the application owns its database and is no superuser.
set -eu
psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set=password="$APPLICATION_PASSWORD" --set=database="$POSTGRES_DB" <<'SQL'
CREATE ROLE billing LOGIN PASSWORD :'password';
ALTER DATABASE :"database" OWNER TO billing;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
GRANT pg_read_all_stats TO billing;
SQL
