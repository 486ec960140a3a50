#!/usr/bin/env bash
# The same system on Microsoft's emulators and SQL Server, on an Ubuntu with Docker and Microsoft's packages: the tests
# of what it relies on, then a shop's day. The pipelines run it every night.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if ! dpkg-query --show --showformat='${db:Status-Status}\n' msodbcsql18 2>/dev/null | grep --quiet '^installed$'; then
  sudo apt-get update --quiet
  sudo ACCEPT_EULA=Y apt-get install --quiet --yes msodbcsql18 # the database's driver
fi

# a password for this run, which emulators.sh hands on to the containers
MSSQL_SA_PASSWORD="${MSSQL_SA_PASSWORD:-$(openssl rand -hex 16)Aa1}"
export MSSQL_SA_PASSWORD
# Encrypt=no: the tests count requests on the wire
export CONFORMANCE_SQL="mssql+pyodbc://sa:$MSSQL_SA_PASSWORD@127.0.0.1:1433/tandem?driver=ODBC+Driver+18+for+SQL+Server&Encrypt=no"
export CONFORMANCE_SERVICEBUS="Endpoint=sb://localhost;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
# the emulator's published key
export CONFORMANCE_COSMOS="AccountEndpoint=http://localhost:8081/;AccountKey=C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==;"

infra/local/emulators.sh ../../tests/conformance/servicebus/config.json
# what the system relies on, but for what the Cosmos DB emulator does not do
python3 dev.py test --numprocesses=0 -m "not service_only" tests/conformance tests/infra/test_migrating.py \
  tests/integration/ordering tests/integration/catalog tests/integration/customers tests/integration/messaging tests/integration/operations \
  tests/integration/payments/test_requests.py tests/integration/payments/test_cardholders.py \
  tests/integration/payments/test_refunds.py tests/integration/payments/test_looked_after.py \
  tests/integration/payments/test_customers_data.py tests/integration/payments/test_metrics.py \
  tests/integration/platform/write_side tests/integration/platform/test_migrations.py tests/integration/platform/test_outage.py \
  tests/integration/platform/test_sides.py

infra/local/emulators.sh servicebus.json
python3 dev.py up --servicebus-port 0 --cosmos-port 0 --payments-port 0 --setting "SqlConnection=$CONFORMANCE_SQL" \
  --setting "ServiceBusConnection=$CONFORMANCE_SERVICEBUS" --setting "CosmosConnection=$CONFORMANCE_COSMOS" >up.log 2>&1 &
trap 'kill %1; wait' EXIT
curl --silent --fail --retry 60 --retry-delay 5 --retry-all-errors http://127.0.0.1:7071/api/health/ready
# every read model compared with the books; the Service Bus emulator takes ten connections
python3 dev.py demo --orders 200 --concurrency 4
