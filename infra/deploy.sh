#!/usr/bin/env bash
# Bring an environment to what this checkout says: infra/deploy.sh ENVIRONMENT [STAGE...]
#
#   preview          say what would change in Azure; changes nothing
#   infrastructure   make it so (infra/main.bicep with infra/ENVIRONMENT.bicepparam)
#   database         migrate, then grant each identity its rights; as an administrator of the database
#   application      package, deploy, smoke test; back to the last good package if that fails
#
# Without a stage: all four, in this order. Every stage may be run again. Needs az, signed in (az login), curl, git and
# a Python with requirements-dev.txt. Settings, from the environment:
#
#   SQL_ADMINISTRATORS_NAME, SQL_ADMINISTRATORS_ID   the Entra group that administers the database
#   API_CLIENT_ID     client id of the API's app registration
#   ALERT_EMAIL       who is told
#   LOCATION          region of a new resource group; default westeurope
#   RESOURCE_GROUP    default rg-tandem-ENVIRONMENT
#   PYTHON            default: .venv's, else python3
#   SMOKE_ATTEMPTS    how often to ask whether the app is ready, 10 seconds apart (SMOKE_PAUSE); default 30
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}

[[ $# -ge 1 ]] || usage
environment=$1
shift
[[ -f infra/$environment.bicepparam ]] || {
  echo "There is no environment $environment: infra/$environment.bicepparam is missing." >&2
  exit 2
}
stages=("$@")
((${#stages[@]})) || stages=(preview infrastructure database application)
for stage in "${stages[@]}"; do
  case $stage in
    preview | infrastructure | database | application) ;;
    *) usage ;;
  esac
done

group=${RESOURCE_GROUP:-rg-tandem-$environment}
deployment=tandem # a name of its own, so that its outputs can be asked for later
python=${PYTHON:-.venv/bin/python}
[[ -x $python ]] || python=$(command -v python3)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { echo "--- $environment: $*"; }

# What main.bicep put out in the last deployment.
output() {
  az deployment group show --resource-group "$group" --name "$deployment" \
    --query "properties.outputs.$1.value" --output tsv
}

# A budget keeps the month that it began with: the one that the last deployment says, or this one.
budget_start() {
  local began
  began=$(output budgetStart 2>/dev/null) || began=
  echo "${began:-$(date +%Y-%m-01)}"
}

template=(--resource-group "$group" --parameters "infra/$environment.bicepparam")

group_exists() { [[ $(az group exists --name "$group") == true ]]; }

preview() {
  say "what would change"
  if group_exists; then
    BUDGET_START=$(budget_start)
    export BUDGET_START
    # whoever may only look need not be allowed to change anything
    az deployment group what-if "${template[@]}" --validation-level ProviderNoRbac
  else
    echo "Everything: there is no resource group $group yet."
  fi
}

infrastructure() {
  say "infrastructure"
  group_exists || az group create --name "$group" --location "${LOCATION:-westeurope}" --output none
  BUDGET_START=$(budget_start)
  export BUDGET_START
  az deployment group create --name "$deployment" "${template[@]}" --output none
}

database() {
  local url commands queries
  url=$(output sqlUrl)
  commands=$(output commandUser)
  queries=$(output viewUser)
  # whoever is signed in with az, and not what else this machine may have
  export SqlConnection=$url AZURE_TOKEN_CREDENTIALS=AzureCliCredential
  say "migrations"
  "$python" -m infra.sql.migrate
  say "access rights"
  "$python" -m infra.sql.access --commands "$commands" --queries "$queries"
}

publish() {
  az functionapp deployment source config-zip --resource-group "$group" --name "$app" --src "$1" \
    --build-remote true --output none
}

smoke_test() {
  local attempt
  for ((attempt = 1; attempt <= ${SMOKE_ATTEMPTS:-30}; attempt++)); do
    if curl --silent --show-error --fail --max-time 20 --output /dev/null "$api/health/ready" &&
      curl --silent --show-error --fail --max-time 20 --output /dev/null "$api/openapi.json"; then
      return 0
    fi
    sleep "${SMOKE_PAUSE:-10}"
  done
  return 1
}

application() {
  local app api account container last_good
  app=$(output functionApp)
  api=$(output apiUrl)
  account=$(output storageAccount)
  container=$(output releasesContainer)
  last_good=(--account-name "$account" --container-name "$container" --name last-good.zip --auth-mode login)

  say "package"
  "$python" -m infra.package "$work/new.zip"
  say "deploying it to $app"
  local deployed=yes
  publish "$work/new.zip" || deployed=no
  if [[ $deployed == yes ]] && say "smoke test of $api" && smoke_test; then
    az storage blob upload "${last_good[@]}" --file "$work/new.zip" --overwrite --output none
    say "done: $api"
    return
  fi

  say "the new package does not work: back to the last good one" >&2
  if ! az storage blob download "${last_good[@]}" --file "$work/last-good.zip" --output none; then
    say "there is none: the new package stays" >&2
    return 1
  fi
  publish "$work/last-good.zip"
  if smoke_test; then
    say "the last good package works again; the new one was not deployed" >&2
  else
    say "the last good package does not work either" >&2
  fi
  return 1
}

for stage in "${stages[@]}"; do
  "$stage"
done
