#!/usr/bin/env bash
# What an environment needs once, before infra/deploy.sh: infra/bootstrap.sh ENVIRONMENT ALERT-EMAIL [PIPELINES]
#
# Registers the providers and makes the resource group, the Entra group that administers the database, and the API's app
# registration; puts you into the group and lets you call the API. For pipelines also the identities that they sign in
# as by OIDC, so that no secret is stored anywhere: PIPELINES is OWNER/REPOSITORY on GitHub, which they then trust, or
# azure-pipelines, whose service connections you add to them. Whoever previews has an identity in dev alone. What is
# there already stays, or is brought up to date: so it may be run again; and has to be, once there is a database server
# that is not dev's: it is locked against deletion. The settings for deploy.sh go to
# .local/ENVIRONMENT.env; what else that file says stays.
#
# Needs Python, and az, signed in as an owner of the subscription who may register applications and make groups in Entra;
# for OWNER/REPOSITORY also gh, signed in as somebody who may read it.
# ON_CALL: object ids of people on call in Entra, with spaces between them, who shall administer the database too, read the
# resource group and its logs, and call the API as Ops. ON_CALL_ROLE=Contributor: they shall also change what is there.
# AZURE_LOCATION (default westeurope) and AZURE_RESOURCE_GROUP (default rg-tandem-ENVIRONMENT) come from the environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}
[[ $# == 2 || $# == 3 ]] && [[ -f infra/$1.bicepparam && $2 == *@* ]] || usage
[[ ${3:-azure-pipelines} == */* || ${3:-azure-pipelines} == azure-pipelines ]] || usage
read -ra on_call <<<"${ON_CALL:-}"
for person in ${on_call[@]+"${on_call[@]}"}; do
  [[ $person =~ ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$ ]] || {
    echo "ON_CALL: $person is no object id; az ad user show --id NAME --query id tells it" >&2
    exit 2
  }
done
on_call_role=${ON_CALL_ROLE:-Reader}
[[ $on_call_role == Reader || $on_call_role == Contributor ]] || {
  echo "ON_CALL_ROLE: $on_call_role is neither Reader nor Contributor" >&2
  exit 2
}
environment=$1 email=$2 pipelines=${3:-}
settings=.local/$environment.env

say() { echo "--- $environment: $*"; }

# Entra and Azure answer from several places. One that has not heard yet of what was made a moment ago says these.
unheard="does not exist or one of its queried reference-property|Role '.*' doesn't exist|Request_ResourceNotFound"
az() {
  local said tries=0
  said=$(mktemp)
  until command az "$@" 2>"$said"; do
    if ((++tries == 12)) || ! grep --quiet --extended-regexp "$unheard" "$said"; then
      cat "$said" >&2
      rm "$said"
      return 1
    fi
    say "what was just made is not known everywhere yet: once more in ${UNHEARD_PAUSE:-10} s" >&2
    sleep "${UNHEARD_PAUSE:-10}"
  done
  cat "$said" >&2
  rm "$said"
}
value() { az "$@" --output tsv; }
before() { [[ ! -f $settings ]] || sed -n "s/^$1=//p" "$settings"; }

# an environment stays where it was made
subscription=$(value account show --query id)
known=$(before AZURE_SUBSCRIPTION_ID)
if [[ -n $known && $known != "$subscription" ]]; then
  say "az is signed in to the subscription $subscription, and $settings says that $environment is in $known" >&2
  exit 1
fi
group=${AZURE_RESOURCE_GROUP:-$(before AZURE_RESOURCE_GROUP)}
group=${group:-rg-tandem-$environment}
location=${AZURE_LOCATION:-$(before AZURE_LOCATION)}
location=${location:-westeurope}

# How GitHub's tokens name the repository: OWNER/REPOSITORY, and where it is younger than July 2026, or was renamed or
# transferred since, with a number after each that nobody else ever gets. GitHub alone knows which.
repository=
if [[ $pipelines == */* ]]; then
  repository=$(gh api "repos/$pipelines/actions/oidc/customization/sub") || {
    say "GitHub does not tell how its tokens name $pipelines: install gh, and sign in with gh auth login as somebody who may read it" >&2
    exit 1
  }
  prefix='import json, sys; print(json.loads(sys.argv[1]).get("sub_claim_prefix") or f"repo:{sys.argv[2]}")'
  repository=$(python3 -c "$prefix" "$repository" "$pipelines")
fi

# --- the subscription: a new one knows no provider, and an identity of one resource group may not register any
say "providers"
for namespace in App Authorization AlertsManagement Consumption DocumentDB Insights KeyVault ManagedIdentity Network \
  OperationalInsights ServiceBus Sql Storage Web; do # App is for Flex Consumption
  az provider register --namespace "Microsoft.$namespace" --wait --output none
done
say "resource group $group in the subscription $subscription"
# making one that is there takes its tags away; azd finds it by this one
[[ $(value group exists --name "$group") == true ]] ||
  az group create --name "$group" --location "$location" --tags azd-env-name="$environment" --output none
scope=$(value group show --name "$group" --query id)
me=$(value ad signed-in-user show --query id)

# --- who administers the database: you, the people on call, and whoever migrates
say "administrators of the database"
administrators=tandem-$environment-sql
administrators_id=$(value ad group create --display-name "$administrators" --mail-nickname "$administrators" --query id)
administer() {
  [[ $(value ad group member check --group "$administrators_id" --member-id "$1" --query value) == true ]] ||
    az ad group member add --group "$administrators_id" --member-id "$1"
}
for person in "$me" ${on_call[@]+"${on_call[@]}"}; do
  administer "$person"
done

# without a role in it, nobody's az finds the group
for person in ${on_call[@]+"${on_call[@]}"}; do
  say "$on_call_role of $group: $person"
  az role assignment create --assignee-object-id "$person" --assignee-principal-type User \
    --role "$on_call_role" --scope "$scope" --output none
done

# --- the API in Entra ID: App Service takes tokens for it, and nobody gets one without an app role
say "app registration"
graph=https://graph.microsoft.com/v1.0
api=$(value ad app create --display-name "tandem-$environment" --sign-in-audience AzureADMyOrg \
  --app-roles @infra/app-roles.json --query appId)
scope_id=$(value ad app show --id "$api" --query "api.oauth2PermissionScopes[?value=='user_impersonation'].id | [0]")
scope_id=${scope_id:-$(python3 -c 'import uuid; print(uuid.uuid4())')}
patch() { az rest --method patch --url "$graph/applications(appId='$api')" --body "$1" --output none; }
# Admin: nobody lets a foreign client call as themselves, with all their roles, but an administrator of Entra
patch '{"identifierUris": ["api://'"$api"'"], "api": {"requestedAccessTokenVersion": 2, "oauth2PermissionScopes": [
  {"id": "'"$scope_id"'", "value": "user_impersonation", "type": "Admin", "isEnabled": true,
   "adminConsentDisplayName": "Use Tandem", "adminConsentDescription": "Use Tandem as the user who signed in"}]}}'
patch '{"api": {"preAuthorizedApplications": [
  {"appId": "04b07795-8ddb-461a-bbee-02f9e1bf7b46", "delegatedPermissionIds": ["'"$scope_id"'"]}]}}' # the az command line
[[ -n $(value ad sp list --filter "appId eq '$api'" --query "[].id") ]] || az ad sp create --id "$api" --output none
az ad sp update --id "$api" --set appRoleAssignmentRequired=true

say "roles in the API: yours are all but Customer and Ops; people on call have Ops"
sp=$(value ad sp show --id "$api" --query id)
roles() { # CONDITION: the ids of the app roles whose value it holds for
  python3 -c "import json; print(*(role['id'] for role in json.load(open('infra/app-roles.json')) if role['value'] $1))"
}
assign() { # PERSON ROLE-ID...
  local assigned role
  assigned=$(value rest --method get --url "$graph/servicePrincipals/$sp/appRoleAssignedTo" \
    --query "value[?principalId=='$1'].appRoleId")
  for role in "${@:2}"; do
    [[ $assigned == *"$role"* ]] || az rest --method post --url "$graph/servicePrincipals/$sp/appRoleAssignedTo" \
      --body '{"resourceId": "'"$sp"'", "principalId": "'"$1"'", "appRoleId": "'"$role"'"}' --output none
  done
}
read -ra clerks <<<"$(roles "not in {'Customer', 'Ops'}")"
assign "$me" "${clerks[@]}"
for person in ${on_call[@]+"${on_call[@]}"}; do
  assign "$person" "$(roles "== 'Ops'")"
done

# --- the identities of the pipelines
identity() { # ROLE GITHUB-ENVIRONMENT
  az identity create --resource-group "$group" --location "$location" --name "id-tandem-$environment-$1" --output none
  [[ -z $repository ]] || az identity federated-credential create --resource-group "$group" --identity-name "id-tandem-$environment-$1" \
    --name github --issuer https://token.actions.githubusercontent.com --audiences api://AzureADTokenExchange \
    --subject "$repository:environment:$2" --output none
}
of() { value identity show --resource-group "$group" --name "id-tandem-$environment-$1" --query "$2"; }
give() { # IDENTITY ROLE [OPTION...]
  az role assignment create --assignee-object-id "$(of "$1" principalId)" --assignee-principal-type ServicePrincipal \
    --role "$2" --scope "$scope" --output json "${@:3}"
}

# Who deploys assigns the roles that the templates name, and no other, above all not Owner. An assignment that is there
# keeps its condition when it is made again: so it is brought up to date.
allow_to_assign() {
  local ids condition given
  ids=$(sed -n "/^var roles/,/^}/s/.*'\([0-9a-f-]*\)'.*/\1/p" infra/modules/roles.bicep | sort | paste -sd, -)
  condition="((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR "
  condition+="(@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {$ids})) AND "
  condition+="((!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})) OR "
  condition+="(@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {$ids}))"
  given=$(give deploy "Role Based Access Control Administrator" --condition "$condition" --condition-version 2.0)
  given=$(python3 -c 'import json, sys
given = json.loads(sys.argv[1])
if given["condition"] != sys.argv[2]:
    print(json.dumps({**given, "condition": sys.argv[2], "conditionVersion": "2.0"}))' "$given" "$condition")
  [[ -z $given ]] || az role assignment update --role-assignment "$given" --output none
}

if [[ -n $pipelines ]]; then
  say "identities that the pipelines deploy and migrate as"
  identity deploy "$environment"
  identity migrate "$environment"
  give deploy Contributor >/dev/null
  allow_to_assign
  give migrate Reader >/dev/null
  administer "$(of migrate principalId)"
fi

# What a pull request signs in as, in a GitHub environment that any branch may name: so it sees nothing but dev.
previewed=
[[ -z $pipelines || $environment != dev ]] || previewed=yes
if [[ -n $previewed ]]; then
  say "identity that pull requests are previewed as"
  identity preview dev-preview
  give preview Reader >/dev/null
  # a what-if is an action on deployments; it changes nothing. A tenant has one role of a name, and maybe another such group
  preview="Tandem preview $group $subscription"
  [[ -n $(value role definition list --name "$preview" --scope "$scope" --query "[].name") ]] ||
    az role definition create --output none --role-definition '{"Name": "'"$preview"'", "AssignableScopes": ["'"$scope"'"],
      "Actions": ["Microsoft.Resources/deployments/whatIf/action", "Microsoft.Resources/deployments/validate/action"]}'
  give preview "$preview" >/dev/null
fi

# Who deploys is a Contributor, who may delete the server, and with it every order and every backup. Nobody can, as long as
# there is this lock, which a Contributor cannot take away. It is not on the group, in which deployments may delete.
if [[ $environment != dev ]]; then
  servers=$(value sql server list --resource-group "$group" --query "[].name")
  [[ -n $servers ]] || say "there is no database server yet: run this once more when there is, so that it is locked against deletion"
  for server in $servers; do
    say "a lock against deletion on $server"
    az lock create --name undeletable --lock-type CanNotDelete --resource-group "$group" \
      --resource-type Microsoft.Sql/servers --resource "$server" --output none
  done
fi

mkdir -p .local
written=$(
  echo "SQL_ADMINISTRATORS_NAME=$administrators"
  echo "SQL_ADMINISTRATORS_ID=$administrators_id"
  echo "API_CLIENT_ID=$api"
  echo "ALERT_EMAIL=$email"
  echo "AZURE_LOCATION=$location"
  echo "AZURE_RESOURCE_GROUP=$group"
  echo "AZURE_SUBSCRIPTION_ID=$subscription"
  echo "AZURE_TENANT_ID=$(value account show --query tenantId)"
  if [[ -n $pipelines ]]; then
    echo "DEPLOY_CLIENT_ID=$(of deploy clientId)"
    echo "MIGRATE_CLIENT_ID=$(of migrate clientId)"
    echo "DEPLOYER_OBJECT_ID=$(of deploy principalId)"
  fi
  [[ -z $previewed ]] || echo "PREVIEW_CLIENT_ID=$(of preview clientId)"
)
{
  echo "$written"
  [[ ! -f $settings ]] || awk -F= 'NR == FNR { written[$1]; next } !($1 in written)' <(echo "$written") "$settings"
} >"$settings.new"
mv "$settings.new" "$settings"
say "done: $settings"
