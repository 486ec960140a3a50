#!/usr/bin/env bash
# Start Microsoft's emulators and an empty database, or start Service Bus again with other entities:
# infra/local/emulators.sh [CONFIG], a Config.json seen from this folder, servicebus.json by default.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

export SERVICEBUS_CONFIG=${1:-servicebus.json}
[[ $SERVICEBUS_CONFIG == /* || $SERVICEBUS_CONFIG == .* ]] || SERVICEBUS_CONFIG=./$SERVICEBUS_CONFIG
docker compose up --detach
docker compose up --detach --force-recreate --no-deps servicebus

ready() { curl --silent --show-error --fail --output /dev/null --retry 60 --retry-delay 2 --retry-all-errors "$1"; }
ready http://127.0.0.1:5300/health # Service Bus
ready http://127.0.0.1:8080/ready  # Cosmos DB

statement="
  IF DB_ID('tandem') IS NOT NULL
  BEGIN
    ALTER DATABASE tandem SET SINGLE_USER WITH ROLLBACK IMMEDIATE;
    DROP DATABASE tandem;
  END;
  CREATE DATABASE tandem;
  ALTER DATABASE tandem SET READ_COMMITTED_SNAPSHOT ON; -- as Azure SQL has it"
# the password is in the container's environment already, and so not among anybody's arguments here
# shellcheck disable=SC2016
docker compose exec -T sql bash -c 'SQLCMDPASSWORD=$MSSQL_SA_PASSWORD /opt/mssql-tools18/bin/sqlcmd -C -b -U sa -Q "$0"' "$statement"
