#!/usr/bin/env bash
# Bring an environment to what this checkout says: infra/deploy.sh ENVIRONMENT [STAGE...]
#
#   preview          say what would change in Azure; changes nothing
#   infrastructure   make it so (infra/main.bicep with infra/ENVIRONMENT.bicepparam)
#   database         migrate, then grant each identity its rights; as an administrator of the database
#   application      package the last commit, deploy, smoke test; back to the last one that passed if that fails
#
# Without a stage: all four, in this order. Every stage may be run again. Four parts of them, for azd (azure.yaml):
#
#   forward          stop if what runs has commits that this checkout lacks
#   budget           print the month that the budget began with; none: Azure takes no budget now
#   rules            stop if Service Bus keeps events away that this release takes
#   check            smoke test of what somebody else deployed
#
# Needs az 2.76 or newer, signed in (az login), curl, git, unixODBC and a Python with requirements-dev.txt. Settings come
# from the environment or from .local/ENVIRONMENT.env (infra/bootstrap.sh); beside those of infra/ENVIRONMENT.bicepparam:
#
#   AZURE_SUBSCRIPTION_ID   nothing happens when az is signed in to another one
#   AZURE_LOCATION    region of a new resource group; default westeurope
#   AZURE_RESOURCE_GROUP   default rg-tandem-ENVIRONMENT
#   CLIENT_ADDRESS    this computer's address in the internet, to be let through the database's firewall meanwhile
#   DEPLOYER_OBJECT_ID   for the preview: who deploys, if that is not who looks
#   ROLL_BACK_FROM    the release that runs and may give way to one that lacks its commits; any: whichever runs
#   DATABASE_STAYS    true: no stage database will follow, so infrastructure goes back over migrations too
#   PYTHON            default: .venv's, else python3
#   SMOKE_SECONDS     how long to ask whether the app is ready, every 10 seconds (SMOKE_PAUSE); default 300, or 900
#                     where a package takes the old one's place instance by instance
#   ROLE_SECONDS      how long to try what a role just given should allow, every 30 seconds (ROLE_PAUSE); default 600
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
    preview | infrastructure | database | application | forward | budget | rules | check) ;;
    *) usage ;;
  esac
done

# what infra/bootstrap.sh wrote down, where the environment does not say otherwise
if [[ -f .local/$environment.env ]]; then
  while IFS='=' read -r name value; do
    [[ -n ${!name:-} ]] || export "$name=$value"
  done <".local/$environment.env"
fi

# A variable of a pipeline that nobody has set comes as an empty one; the parameter file's own default counts then.
while read -r name; do
  [[ -n ${!name:-} ]] || unset "$name"
done < <(sed -n "s/.*readEnvironmentVariable('\([A-Z_]*\)'.*/\1/p" "infra/$environment.bicepparam")

group=${AZURE_RESOURCE_GROUP:-rg-tandem-$environment}
python=${PYTHON:-.venv/bin/python}
[[ -x $python ]] || python=$(command -v python3)
work=$(mktemp -d)
opened= # the database server whose firewall was opened for this computer

finish() {
  if [[ -n $opened ]]; then
    az sql server firewall-rule delete --resource-group "$group" --server "$opened" --name deploy.sh ||
      say "the firewall of $opened still lets $CLIENT_ADDRESS in: delete its rule deploy.sh" >&2
  fi
  rm -rf "$work"
}
trap finish EXIT

say() { echo "--- $environment: $*"; }

# Azure says these of a role that was given minutes ago and is not known everywhere yet, of a deployment that is still
# under way, and of a service that stumbles. A closed network also answers 403, in other words: waiting does not mend it.
passing='AuthorizationFailed|AuthorizationPermissionMismatch|do not have the required permissions'
passing+='|not authorized to perform this operation using this permission|Status Code: 403'
passing+='|There may be an ongoing deployment|another deployment is in progress|DeploymentActive|Status Code: 50[234]'
# and these of a network, an account or a database that is still being changed
passing+='|RetryableError|ReferencedResourceNotProvisioned|AnotherOperationInProgress|StorageAccountOperationInProgress'
passing+='|shared RU collection creates are competing|SubCode=(40901|50004)'

# And this of a right on something that the deployment only names, such as the hub's network: nobody gives that meanwhile.
lasting='LinkedAuthorizationFailed'

# Run a command of az; what passes by itself is tried again, for ROLE_SECONDS after it was refused first, however long
# each try takes. What it said last is in $work/said. Before each further try $again is asked whether it may be: somebody
# else has deployed meanwhile, perhaps.
patiently() {
  local code refused='' first=${again:-true}
  while true; do
    code=0
    "$@" 2>"$work/said" || code=$?
    cat "$work/said" >&2
    ((code != 0)) || return 0
    if grep --quiet AADSTS700024 "$work/said"; then
      say "this sign-in is too old to get another token: sign in again, and run the stage again" >&2
      return "$code"
    fi
    ! grep --quiet "$lasting" "$work/said" && grep --quiet --extended-regexp "$passing" "$work/said" || return "$code"
    refused=${refused:-$SECONDS}
    ((SECONDS - refused < ${ROLE_SECONDS:-600})) || return "$code"
    say "refused; a role takes up to ten minutes to be known everywhere: once more in ${ROLE_PAUSE:-30} s" >&2
    sleep "${ROLE_PAUSE:-30}"
    again='' "$first" || return
  done
}

# What the newest deployment that a filter finds has put out.
put_out() {
  az deployment group list --resource-group "$group" --output tsv --query \
    "sort_by([?$1], &properties.timestamp)[-1].properties.outputs.$2"
}

# How to know a deployment of main.bicep, this script's or azd's: that gives each a new name, and a tag.
ours="name=='tandem' || tags.\"azd-env-name\""

# What main.bicep put out in the last deployment. azd puts the outputs into the environment of its hooks.
output() {
  local value=${!1:-}
  [[ -n $value ]] || value=$(put_out "$ours" "$1.value") || return
  if [[ -z $value || $value == None ]]; then # az prints None where a query finds a null beside others
    say "the last deployment of the infrastructure put out no $1: there is none, or it failed. Run the stage infrastructure again" >&2
    return 1
  fi
  echo "$value"
}

# The same, of the last one that came so far, for what does not depend on how a later one ended. Templates of before had no
# module `lasting`.
known() {
  local value=${!1:-}
  [[ -n $value ]] || value=$(put_out "properties.outputs && (starts_with(name, 'lasting-') || $ours)" \
    "not_null(known.value.$1, $1.value)") || return
  if [[ -z $value || $value == None ]]; then
    say "no deployment of the infrastructure has put out $1" >&2
    return 1
  fi
  echo "$value"
}

# What Cost Management says of a subscription that has no budgets: a new one for up to 48 hours, one of another offer, and
# one of an enterprise that shows its charges to nobody.
no_budgets='Cost management data is not supported for|valid offer type|RBACAccessDenied|(Account|Indirect)CostDisabled'

# A budget keeps the month that it began with; a new one begins with this month. none: there can be none now, or it is not
# known whether there is one, for which no deployment waits; one that is there stays.
budget_start() {
  local began
  began=$(patiently az rest --method get --output tsv \
    --url "/subscriptions/{subscriptionId}/resourceGroups/$group/providers/Microsoft.Consumption/budgets?api-version=2024-08-01" \
    --query "value[?name=='budget-tandem-$environment'].properties.timePeriod.startDate") || {
    if grep --quiet --extended-regexp "$no_budgets" "$work/said"; then
      say "Azure takes no budget in this subscription now, so nobody is mailed what it costs: docs/deploy.md" >&2
    else
      say "Azure does not tell the budget: one that is there stays, and there is no new one before the next deployment" >&2
    fi
    echo none
    return
  }
  began=${began:0:10}
  echo "${began:-$(date -u +%Y-%m-01)}"
}

template=(--resource-group "$group" --parameters "infra/$environment.bicepparam")

group_exists() {
  local exists
  exists=$(patiently az group exists --name "$group") || exit
  [[ $exists == true ]]
}

budget() {
  if group_exists; then budget_start; else date -u +%Y-%m-01; fi
}

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

# Print the release that runs; nothing if nobody knows: there is no app, or it does not answer, or has no release yet.
running() {
  local host
  host=$(patiently az functionapp list --resource-group "$group" --query '[0].defaultHostName' --output tsv) || return
  [[ -n $host && $host != None ]] || return 0
  { get --max-time 60 --dump-header - --output /dev/null "https://$host/api/health/live" || true; } |
    tr -d '\r' | awk 'tolower($1) == "x-release:" { print $2 }'
}

# A run of the pipeline that is approved late, or once more, is older than what runs. Its rules keep away what only the
# newer release takes, and its migrations are refused after that, so they stay: those events are lost (docs/adr/0040).
forward() {
  local release
  group_exists || return 0
  release=$(running) || return
  if [[ -z $release ]]; then
    say "it is not known which release runs"
  elif ! git merge-base --is-ancestor "$release" HEAD 2>/dev/null; then
    if [[ ${ROLL_BACK_FROM:-} != any && ${ROLL_BACK_FROM:-} != "$release" ]]; then
      say "$release runs, and is no part of this checkout: it is later, or of another branch, or was not fetched" >&2
      say "to go back from it all the same: ROLL_BACK_FROM=$release (docs/operations.md#a-release-is-bad)" >&2
      return 1
    fi
    [[ ${DATABASE_STAYS:-} != true || " ${stages[*]} " == *" database "* ]] || return 0
    if [[ -n $(git diff --name-only --diff-filter=A HEAD "$release" -- infra/sql/migrations/versions 2>/dev/null) ]]; then
      say "$release has brought migrations that this checkout lacks: the stage database would refuse" >&2
      say "to bring this checkout's templates alone: DATABASE_STAYS=true (docs/operations.md#a-release-is-bad)" >&2
      return 1
    fi
  fi
}

infrastructure() {
  say "infrastructure"
  unset DEPLOYER_OBJECT_ID # whoever does it is the one who deploys
  forward
  group_exists || az group create --name "$group" --location "${AZURE_LOCATION:-westeurope}" --output none
  BUDGET_START=$(budget_start)
  export BUDGET_START
  again=forward patiently az deployment group create --name tandem "${template[@]}" --output none
}

database() {
  local url commands queries server folder
  url=$(output sqlUrl)
  commands=$(output commandUser)
  queries=$(output viewUser)
  if [[ -n ${CLIENT_ADDRESS:-} ]]; then
    server=${url#*://}
    server=${server%%.*}
    say "letting $CLIENT_ADDRESS through the firewall of $server meanwhile"
    opened=$server # so that it is closed again, however this ends
    az sql server firewall-rule create --resource-group "$group" --server "$server" --name deploy.sh \
      --start-ip-address "$CLIENT_ADDRESS" --end-ip-address "$CLIENT_ADDRESS" --output none
  fi
  if [[ $url == mssql* ]]; then # a machine without Microsoft's driver takes the one of requirements-dev.txt
    folder=$("$python" -m infra.sql.driver "$work")
    [[ -z $folder ]] || export ODBCSYSINI=$folder
  fi
  # whoever is signed in with az, and not what else this machine may have
  export SqlConnection=$url AZURE_TOKEN_CREDENTIALS=AzureCliCredential
  say "migrations"
  "$python" -m infra.sql.migrate
  say "access rights"
  "$python" -m infra.sql.access --commands "$commands" --queries "$queries"
}

# What az 2.91 says when Azure has taken the package and az then could not learn, or did not like, what came of it.
taken='Deployment was successful|Failed to fetch host key|Failed to retrieve deployment status'
taken+='|Timeout reached by the command|Deployment was partially successful'

# Deploy a package. az then asks the app's host in its own way whether it is well: that is for the smoke test to say.
publish() {
  patiently az functionapp deployment source config-zip --resource-group "$group" --name "$app" --src "$1" \
    --build-remote true --output none || grep --quiet --extended-regexp "$taken" "$work/said"
}

# Make the platform learn the functions again: it wakes and scales those that it knows.
sync_triggers() {
  az rest --method post --output none \
    --url "/subscriptions/{subscriptionId}/resourceGroups/$group/providers/Microsoft.Web/sites/$app/syncfunctiontriggers?api-version=2025-03-01"
}

get() { curl --silent --show-error --fail --max-time 20 "$@"; }

# Print what is wrong with the app; nothing if it is ready, of this release, and the platform knows all of its functions.
faults() {
  local release=$1 expected=$2 headers missing
  if ! headers=$(get --dump-header - --output /dev/null "$api/health/ready" 2>"$work/curl"); then
    echo "/health/ready: $(<"$work/curl")"
  elif [[ -n $release ]] && ! grep --quiet --ignore-case "^x-release: $release" <<<"$headers"; then
    echo "another release than $release answers"
  elif ! get --output /dev/null "$api/openapi.json" 2>"$work/curl"; then
    echo "/openapi.json: $(<"$work/curl")"
  elif ! az functionapp function list --resource-group "$group" --name "$app" --query "[].name" --output tsv >"$work/known"; then
    echo "az does not tell which functions the platform knows"
  else
    missing=$(sed 's|.*/||' "$work/known" | sort | comm -13 - "$expected" | tr '\n' ' ')
    [[ -z $missing ]] || echo "the platform does not know these functions: $missing"
  fi
}

# Print the release that a package is of, which lies unpacked in $work/package then.
release_in() {
  rm -rf "$work/package"
  "$python" -m zipfile -e "$1" "$work/package"
  [[ ! -f $work/package/release.txt ]] || echo "$(<"$work/package/release.txt")"
}

# Ask until the app is well, for SMOKE_SECONDS, however long an answer takes. With a package: until that one is. Where that
# comes instance by instance, the old ones answer meanwhile, and Azure does not say when the last has gone.
smoke_test() {
  local began fault='' release='' expected=$work/functions patience=300
  ! grep --quiet "^param updateStrategy = 'RollingUpdate'" "infra/$environment.bicepparam" || patience=900
  patience=${SMOKE_SECONDS:-$patience}
  : >"$expected"
  if [[ -n ${1:-} ]]; then
    release=$(release_in "$1")
    "$python" -m infra.functions "$1" | sort >"$expected" || : >"$expected"
  fi
  say "smoke test of $api, for $patience s at most"
  sync_triggers || say "the platform was not told to learn its functions again" >&2
  began=$SECONDS
  while true; do
    fault=$(faults "$release" "$expected")
    [[ -n $fault ]] || return 0
    ((SECONDS - began < patience)) || break
    sleep "${SMOKE_PAUSE:-10}"
  done
  say "$fault" >&2
  return 1
}

# Events that a subscription's rule keeps away are lost to a release that takes them: the infrastructure goes first.
rules() {
  local deployed
  deployed=$(output subscriptionRules)
  "$python" -m infra.local.rules --deployed "$deployed"
}

# Write the package to go back to into $1, and fail where there is none. Mostly it is the one that is kept since it worked:
# what runs is that one, or came after it and was cut off before it was kept or turned back. Where it is neither, people
# have deployed by hand, perhaps to take that one out: then it does not come back, and what runs does. $before is what
# runs.
keep_what_to_go_back_to() {
  local kept good=''
  kept=$(patiently az storage blob exists "${blob[@]}" --query exists --output tsv) || exit
  if [[ $kept == true ]]; then
    patiently az storage blob download "${blob[@]}" --file "$1" --output none || exit
    good=$(release_in "$1")
  fi
  before=$(running) || exit
  if [[ -z $before || $before == "$good" ]] || git merge-base --is-ancestor "$good" "$before" 2>/dev/null; then
    [[ $kept == true ]]
  else
    say "$before runs, and is not the last good package"
    [[ $before != "$(git rev-parse HEAD)" ]] && "$python" -m infra.package "$1" "$before"
  fi
}

# Whether what runs is what this stage found or brings: else somebody else has deployed meanwhile, which stays. Where Azure
# does not tell, what does not work goes all the same.
still_ours() {
  local runs
  runs=$(running) || return 0
  case $runs in
    "" | "$before" | "$was" | "$(git rev-parse HEAD)") ;;
    *)
      say "the new package $fault, and somebody else has deployed $runs meanwhile: that stays" >&2
      return 1
      ;;
  esac
}

application() {
  local app api account container blob before was='' back="$work/back.zip" fault="does not work"
  local DATABASE_STAYS=true # or the stage before would have been refused
  forward
  app=$(output functionApp)
  api=$(output apiUrl)
  account=$(output storageAccount)
  container=$(output releasesContainer)
  blob=(--account-name "$account" --container-name "$container" --name last-good.zip --auth-mode login)

  rules

  say "package"
  "$python" -m infra.package "$work/new.zip"
  "$python" -m infra.functions "$work/new.zip" >/dev/null # so that what cannot be imported goes nowhere
  say "what to go back to"
  keep_what_to_go_back_to "$back" || {
    say "there is nothing: what fails its smoke test stays" >&2
    back=
  }
  [[ -z $back ]] || was=$(release_in "$back")

  say "deploying it to $app"
  if ! again=forward publish "$work/new.zip"; then
    fault="was not taken by Azure"
    still_ours || return 1
    if smoke_test; then
      say "the new package $fault; what ran before still runs" >&2
      return 1
    fi
  elif smoke_test "$work/new.zip"; then
    patiently az storage blob upload "${blob[@]}" --file "$work/new.zip" --overwrite --output none || {
      say "the new package works, but is not kept to go back to: run the stage application again" >&2
      return 1
    }
    say "done: $api"
    return
  fi

  if [[ -z $back ]]; then
    say "the new package $fault, and there is none to go back to" >&2
    return 1
  fi
  still_ours || return 1
  say "the new package $fault: back to $was" >&2
  if again=still_ours publish "$back" && smoke_test "$back"; then
    say "$was works again; the new one was not deployed" >&2
    say "events that only the new one ignores are kept away from it now (docs/adr/0040): if there are any, run the stage infrastructure of its release" >&2
  elif still_ours; then
    say "$was does not work either" >&2
  fi
  return 1
}

check() {
  local app api
  app=$(known functionApp)
  api=$(known apiUrl)
  "$python" -m infra.package "$work/new.zip"
  smoke_test "$work/new.zip"
  say "done: $api"
}

# What this computer is signed in to need not be where the environment is.
if [[ -n ${AZURE_SUBSCRIPTION_ID:-} ]]; then
  current=$(az account show --query id --output tsv)
  if [[ $current != "$AZURE_SUBSCRIPTION_ID" ]]; then
    say "az is signed in to the subscription $current, and $environment is in another one:" >&2
    echo "  az account set --subscription $AZURE_SUBSCRIPTION_ID" >&2
    exit 1
  fi
fi

# What a pipeline signs in with is good for five minutes, and a token that it gets for that for an hour: so all tokens that
# these stages need are fetched first. az keeps them.
resources=(https://management.core.windows.net/)
for stage in "${stages[@]}"; do
  case $stage in
    database) resources+=(https://database.windows.net) ;;
    application) resources+=(https://appservice.azure.com https://storage.azure.com) ;;
  esac
done
for resource in "${resources[@]}"; do
  patiently az account get-access-token --resource "$resource" --output none
done

for stage in "${stages[@]}"; do
  "$stage"
done
