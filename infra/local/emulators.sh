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
# expanded in the container, so that the password is not among this process's arguments
# shellcheck disable=SC2016
docker compose exec -T sql bash -c '/opt/mssql-tools18/bin/sqlcmd -C -b -U sa -P "$MSSQL_SA_PASSWORD" -Q "
  IF DB_ID(N'"'tandem'"') IS NOT NULL DROP DATABASE tandem;
  CREATE DATABASE tandem;
  ALTER DATABASE tandem SET READ_COMMITTED_SNAPSHOT ON; -- as Azure SQL has it"'
