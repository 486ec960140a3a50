// Tandem on Azure. One resource group for each environment; what differs between them is in ENVIRONMENT.bicepparam.

import { administratorGroup, databaseSize } from 'modules/sql.bicep'
import { appScale } from 'modules/function-app.bicep'
import { subscriber } from 'modules/topic.bicep'
import { tagValues } from 'modules/types.bicep'

@description('Name of the environment; part of every name.')
@minLength(2)
@maxLength(8)
param environmentName string

@description('Azure region of everything.')
param location string = resourceGroup().location

@description('Tags on every resource; azd finds an environment by the last one.')
param tags tagValues = { system: 'tandem', environment: environmentName, 'azd-env-name': environmentName }

@description('Entra group whose members administer the database; the identity that migrates is one of them.')
param sqlAdministrators administratorGroup

@description('Client id of the API\'s app registration in Entra ID.')
param apiClientId string

@description('Who issues the tokens: this tenant, unless customers have a tenant of their own.')
param apiTokenIssuer string = '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'

@description('Names of the API in tokens, beside its client id and api://CLIENT-ID.')
param apiAudiences string[] = []

@description('Size of the database.')
param database databaseSize

@description('Most request units a second of the Cosmos DB database, at least 1000, scaled automatically; 0: serverless.')
param cosmosMaxThroughput int

@description('Standard, or Premium, which private networking needs.')
param serviceBusSku 'Standard' | 'Premium'

@description('Other systems that listen to events, those that are there to read: what nobody fetches takes up room, and raises alerts. Left out: those of docs/subscribers.md, which the laptop has too.')
param subscribers subscriber[]?

@description('How far the app scales.')
param scale appScale

@description('When the relays look for events that were left unpublished, as NCRONTAB. Each look wakes a paused database.')
param relaySchedule string

@description('When read models are held against the event log, and rebuilds go on whose process has died, as NCRONTAB. Each look wakes a paused database.')
param watchSchedule string

@description('Hours within which the erasure of a customer can be withdrawn.')
@minValue(0)
@maxValue(100000)
param erasureGraceHours int = 72

@description('Minutes within which every piece of the timers\' work must have been done, before an alert says that it is silent.')
param timerSilence int

@description('How a new package takes the old one\'s place: all at once, which ends what is running, or instance by instance.')
param updateStrategy 'Recreate' | 'RollingUpdate'

@description('Whether the stores survive the loss of a zone, where the region has zones.')
param zoneRedundant bool

@description('Whether the stores are reached through private endpoints only.')
param privateNetworking bool

@description('Address range of the private network.')
param addressPrefix string = '10.40.0.0/16'

@description('Whether the private network has a subnet for what deploys from inside.')
param runnerSubnet bool = false

@description('Service that this subnet is delegated to; empty: machines of your own.')
param runnerDelegation string = ''

@description('Resource id of the NAT gateway that this subnet reaches the internet through; empty: it does not.')
param runnerNatGatewayId string = ''

@description('Resource id of this subnet\'s network security group; empty: none.')
param runnerSecurityGroupId string = ''

@description('Resource id of a network to peer with; empty: none. It must peer back, and whoever deploys needs rights on it.')
param hubNetworkId string = ''

@description('Whether that network resolves the stores\' names by the private DNS zones here. It cannot have zones of these names linked already.')
param hubLink bool = true

@description('Whether a deleted vault can be removed for good only when its 90 days are over. Once on, it stays on.')
param purgeProtection bool

@description('Whether to bring a deleted vault of the same name back. Once: a vault that is there cannot be recovered.')
param recoverVault bool = false

@description('Object id of whoever deploys, who keeps the last good package; empty: whoever runs this. A preview says whose it is, lest it shows a role of its own.')
param deployerObjectId string = ''

@description('Days that logs are kept.')
param logRetentionDays int = 30

@description('Gigabytes of logs that may be ingested in a day; -1: no limit.')
param logDailyQuotaGb int = -1

@description('Whether everything that clients ask of the stores is logged; it is much, and paid by the gigabyte.')
param diagnostics bool = false

@description('How often alerts ask the logs: each costs three times as much every five minutes as every quarter of an hour.')
param alertLogFrequency 'PT5M' | 'PT15M' = 'PT5M'

@description('Messages that a topic may have waiting for a quarter of an hour before the projections count as behind.')
param alertBacklog int = 1000

@description('Whether places outside of West Europe ask all the time if the API is ready. They keep a serverless database awake.')
param probed bool = false

@description('Address that alerts are mailed to.')
param alertEmail string

@description('What the environment may cost in a month, in the currency of the subscription; 0 for no budget.')
@minValue(0)
param monthlyBudget int

@description('First day of the month that the budget began with, such as 2026-11-01; it cannot be changed. none: what there is of a budget stays as it is.')
param budgetStart string

var name = 'tandem-${environmentName}'
var unique = uniqueString(resourceGroup().id)
// the most that there is; what is not filled costs nothing. A full topic takes no event at all
var topicSizeMB = serviceBusSku == 'Premium' ? 81920 : 5120
var zones = {
  blob: 'privatelink.blob.${environment().suffixes.storage}'
  table: 'privatelink.table.${environment().suffixes.storage}'
  sql: 'privatelink${environment().suffixes.sqlServerHostname}'
  cosmos: 'privatelink.documents.azure.com'
  serviceBus: 'privatelink.servicebus.windows.net'
  vault: 'privatelink.vaultcore.azure.net'
}

// Who acts. docs/adr/0007 says why three.
resource hostIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-${name}-host'
  location: location
  tags: tags
}

resource commandIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-${name}-commands'
  location: location
  tags: tags
}

resource viewIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-${name}-views'
  location: location
  tags: tags
}

module monitoring 'modules/monitoring.bicep' = {
  params: {
    name: name
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyQuotaGb: logDailyQuotaGb
    senderName: hostIdentity.name
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  params: {
    name: name
    location: location
    tags: tags
    addressPrefix: addressPrefix
    zones: map(items(zones), zone => zone.value)
    runnerSubnet: runnerSubnet
    runnerDelegation: runnerDelegation
    runnerNatGatewayId: runnerNatGatewayId
    runnerSecurityGroupId: runnerSecurityGroupId
    hubNetworkId: hubNetworkId
    hubLink: hubLink
  }
}

module storage 'modules/storage.bicep' = {
  params: {
    name: 'st${take(replace(name, '-', ''), 9)}${unique}'
    location: location
    tags: tags
    zoneRedundant: zoneRedundant
    publicAccess: !privateNetworking
    hostName: hostIdentity.name
    deployerObjectId: empty(deployerObjectId) ? deployer().objectId : deployerObjectId
    diagnostics: diagnostics
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vault 'modules/key-vault.bicep' = {
  params: {
    name: 'kv-${take(replace(name, '-', ''), 8)}${unique}'
    location: location
    tags: tags
    publicAccess: !privateNetworking
    hostName: hostIdentity.name
    purgeProtection: purgeProtection
    recover: recoverVault
    diagnostics: diagnostics
    workspaceId: monitoring.outputs.workspaceId
  }
}

module sql 'modules/sql.bicep' = {
  params: {
    name: 'sql-${name}-${unique}'
    location: location
    tags: tags
    administrators: sqlAdministrators
    size: database
    zoneRedundant: zoneRedundant
    publicAccess: !privateNetworking
    workspaceId: monitoring.outputs.workspaceId
  }
}

module cosmos 'modules/cosmos.bicep' = {
  params: {
    name: 'cosmos-${name}-${unique}'
    location: location
    tags: tags
    maxThroughput: cosmosMaxThroughput
    zoneRedundant: zoneRedundant
    publicAccess: !privateNetworking
    writerName: viewIdentity.name
    diagnostics: diagnostics
    workspaceId: monitoring.outputs.workspaceId
  }
}

module serviceBus 'modules/service-bus.bicep' = {
  params: {
    name: 'sb-${name}-${unique}'
    location: location
    tags: tags
    sku: serviceBusSku
    topicSizeMB: topicSizeMB
    publicAccess: !privateNetworking
    subscribers: subscribers
    senderName: commandIdentity.name
    receiverName: viewIdentity.name
    diagnostics: diagnostics
    workspaceId: monitoring.outputs.workspaceId
  }
}

var endpoints = [
  { name: 'blob', group: 'blob', zone: zones.blob }
  { name: 'table', group: 'table', zone: zones.table }
  { name: 'sql', group: 'sqlServer', zone: zones.sql }
  { name: 'cosmos', group: 'Sql', zone: zones.cosmos }
  { name: 'sb', group: 'namespace', zone: zones.serviceBus }
  { name: 'kv', group: 'vault', zone: zones.vault }
]

// one after another: each changes the subnet, and two of them the one storage account
@batchSize(1)
module endpoint 'modules/private-endpoint.bicep' = [
  for target in endpoints: if (privateNetworking) {
    params: {
      name: 'pe-${target.name}-${name}'
      location: location
      tags: tags
      subnetId: network!.outputs.endpointsSubnetId
      // ids are known only when their modules are done, and a loop must be known before
      targetId: {
        blob: storage.outputs.id
        table: storage.outputs.id
        sql: sql.outputs.id
        cosmos: cosmos.outputs.id
        sb: serviceBus.outputs.id
        kv: vault.outputs.id
      }[target.name]
      group: target.group
      zone: target.zone
    }
  }
]

module app 'modules/function-app.bicep' = {
  params: {
    name: name
    siteName: 'func-${name}-${unique}'
    registration: { clientId: apiClientId, issuer: apiTokenIssuer, audiences: apiAudiences }
    location: location
    tags: tags
    scale: scale
    updateStrategy: updateStrategy
    zoneRedundant: zoneRedundant
    subnetId: privateNetworking ? network!.outputs.appSubnetId : ''
    hostIdentity: { id: hostIdentity.id, clientId: hostIdentity.properties.clientId }
    commandIdentity: { id: commandIdentity.id, clientId: commandIdentity.properties.clientId }
    viewIdentity: { id: viewIdentity.id, clientId: viewIdentity.properties.clientId }
    storageAccountName: storage.outputs.name
    packageContainerUrl: storage.outputs.packageContainerUrl
    keyVaultUri: vault.outputs.uri
    insightsConnectionString: monitoring.outputs.connectionString
    sqlUrl: sql.outputs.url
    cosmosEndpoint: cosmos.outputs.endpoint
    cosmosDatabase: cosmos.outputs.databaseName
    serviceBusHostName: serviceBus.outputs.hostName
    relaySchedule: relaySchedule
    watchSchedule: watchSchedule
    erasureGraceHours: erasureGraceHours
  }
  dependsOn: [endpoint]
}

module alerts 'modules/alerts.bicep' = {
  params: {
    name: name
    location: location
    tags: tags
    email: alertEmail
    workspaceId: monitoring.outputs.workspaceId
    serviceBusId: serviceBus.outputs.id
    cosmosId: cosmos.outputs.id
    databaseId: sql.outputs.databaseId
    backlog: alertBacklog
    topicSizeMB: topicSizeMB
    timerSilence: timerSilence
    logFrequency: alertLogFrequency
    insightsId: monitoring.outputs.insightsId
    probed: probed
    apiUrl: app.outputs.apiUrl
  }
}

module budget 'modules/budget.bicep' = if (monthlyBudget > 0 && budgetStart != 'none') {
  params: {
    name: name
    monthlyAmount: monthlyBudget
    start: budgetStart
    email: alertEmail
  }
}

module workbook 'modules/workbook.bicep' = {
  params: {
    name: name
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    serviceBusId: serviceBus.outputs.id
  }
}

// ARM empties the outputs of `tandem` when a deployment begins, and leaves them empty if it fails. This one's stay until the
// next has come so far, whoever makes it: the runbook goes by them.
module lasting 'modules/lasting.bicep' = {
  params: {
    known: {
      functionApp: app.outputs.name
      apiUrl: app.outputs.apiUrl
      sqlUrl: sql.outputs.url
      commandUser: '${commandIdentity.name}=${commandIdentity.properties.clientId}'
      viewUser: '${viewIdentity.name}=${viewIdentity.properties.clientId}'
      deployerObjectId: empty(deployerObjectId) ? deployer().objectId : deployerObjectId
      storageAccount: storage.outputs.name
      releasesContainer: storage.outputs.releasesContainer
      subscriptionRules: serviceBus.outputs.rules
    }
  }
}

@description('Name of the function app.')
output functionApp string = lasting.outputs.known.functionApp

@description('Where the API begins.')
output apiUrl string = lasting.outputs.known.apiUrl

@description('SQLAlchemy URL of the database, without anybody\'s credentials.')
output sqlUrl string = lasting.outputs.known.sqlUrl

@description('Name and client id of the command side\'s identity, for its user in the database.')
output commandUser string = lasting.outputs.known.commandUser

@description('Name and client id of the query side\'s identity, for its user in the database.')
output viewUser string = lasting.outputs.known.viewUser

@description('Who deployed, so that a preview can say so.')
output deployerObjectId string = lasting.outputs.known.deployerObjectId

@description('Name of the storage account.')
output storageAccount string = lasting.outputs.known.storageAccount

@description('Name of the container with the last good package.')
output releasesContainer string = lasting.outputs.known.releasesContainer

@description('What comes into each of the app\'s own subscriptions, so that no release is deployed that takes more.')
output subscriptionRules string = lasting.outputs.known.subscriptionRules
