// Tandem on Azure. One resource group for each environment; what differs between them is in ENVIRONMENT.bicepparam.

import { administratorGroup, databaseSize } from 'modules/sql.bicep'
import { appScale, identityReference } from 'modules/function-app.bicep'
import { subscriber } from 'modules/topic.bicep'

@description('Name of the environment; part of every name.')
@minLength(2)
@maxLength(8)
param environmentName string

@description('Azure region of everything.')
param location string = resourceGroup().location

@description('Tags on every resource.')
param tags object = { system: 'tandem', environment: environmentName }

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

@description('Other systems that listen to events. Remove one that nobody reads: what waits for it takes up room.')
param subscribers subscriber[]

@description('How far the app scales.')
param scale appScale

@description('When the relays look for events that were left unpublished, as NCRONTAB. Each look wakes a paused database.')
param relaySchedule string

@description('When read models are held against the event log, and rebuilds go on whose process has died, as NCRONTAB. Each look wakes a paused database.')
param watchSchedule string

@description('Time within which every relay must have run, before an alert says that one is silent.')
param relayWindow 'PT15M' | 'PT1H' | 'PT3H' | 'PT6H'

@description('Whether the stores survive the loss of a zone, where the region has zones.')
param zoneRedundant bool

@description('Whether the stores are reached through private endpoints only.')
param privateNetworking bool

@description('Address range of the private network.')
param addressPrefix string = '10.40.0.0/16'

@description('Days that logs are kept.')
param logRetentionDays int = 30

@description('Gigabytes of logs that may be ingested in a day; -1: no limit.')
param logDailyQuotaGb int = -1

@description('Messages that a topic may have waiting for a quarter of an hour before the projections count as behind.')
param alertBacklog int = 1000

@description('Address that alerts are mailed to.')
param alertEmail string

@description('What the environment may cost in a month, in the currency of the subscription.')
param monthlyBudget int

@description('First day of the month that the budget began with, such as 2026-11-01. It cannot be changed.')
param budgetStart string

var name = 'tandem-${environmentName}'
var unique = uniqueString(resourceGroup().id)
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
  name: 'monitoring'
  params: {
    name: name
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyQuotaGb: logDailyQuotaGb
    senderPrincipalId: hostIdentity.properties.principalId
  }
}

module network 'modules/network.bicep' = if (privateNetworking) {
  name: 'network'
  params: {
    name: name
    location: location
    tags: tags
    addressPrefix: addressPrefix
    zones: map(items(zones), zone => zone.value)
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    name: 'st${take(replace(name, '-', ''), 9)}${unique}'
    location: location
    tags: tags
    zoneRedundant: zoneRedundant
    publicAccess: !privateNetworking
    hostPrincipalId: hostIdentity.properties.principalId
    deployerObjectId: deployer().objectId
  }
}

module vault 'modules/key-vault.bicep' = {
  name: 'vault'
  params: {
    name: 'kv-${take(replace(name, '-', ''), 8)}${unique}'
    location: location
    tags: tags
    publicAccess: !privateNetworking
    hostPrincipalId: hostIdentity.properties.principalId
  }
}

module sql 'modules/sql.bicep' = {
  name: 'sql'
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
  name: 'cosmos'
  params: {
    name: 'cosmos-${name}-${unique}'
    location: location
    tags: tags
    maxThroughput: cosmosMaxThroughput
    zoneRedundant: zoneRedundant
    publicAccess: !privateNetworking
    writerPrincipalId: viewIdentity.properties.principalId
  }
}

module serviceBus 'modules/service-bus.bicep' = {
  name: 'service-bus'
  params: {
    name: 'sb-${name}-${unique}'
    location: location
    tags: tags
    sku: serviceBusSku
    publicAccess: !privateNetworking
    subscribers: subscribers
    senderPrincipalId: commandIdentity.properties.principalId
    receiverPrincipalId: viewIdentity.properties.principalId
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

module endpoint 'modules/private-endpoint.bicep' = [
  for target in endpoints: if (privateNetworking) {
    name: 'endpoint-${target.name}'
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
  name: 'app'
  params: {
    name: name
    siteName: 'func-${name}-${unique}'
    registration: { clientId: apiClientId, issuer: apiTokenIssuer, audiences: apiAudiences }
    location: location
    tags: tags
    scale: scale
    zoneRedundant: zoneRedundant
    subnetId: privateNetworking ? network!.outputs.appSubnetId : ''
    hostIdentity: {
      id: hostIdentity.id
      clientId: hostIdentity.properties.clientId
      principalId: hostIdentity.properties.principalId
    }
    commandIdentity: {
      id: commandIdentity.id
      clientId: commandIdentity.properties.clientId
      principalId: commandIdentity.properties.principalId
    }
    viewIdentity: {
      id: viewIdentity.id
      clientId: viewIdentity.properties.clientId
      principalId: viewIdentity.properties.principalId
    }
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
  }
  dependsOn: [endpoint]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
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
    relays: serviceBus.outputs.topics
    relayWindow: relayWindow
  }
}

module budget 'modules/budget.bicep' = {
  name: 'budget'
  params: {
    name: name
    monthlyAmount: monthlyBudget
    start: budgetStart
    email: alertEmail
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  params: {
    name: name
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    serviceBusId: serviceBus.outputs.id
  }
}

@description('Name of the function app.')
output functionApp string = app.outputs.name

@description('Where the API begins.')
output apiUrl string = app.outputs.apiUrl

@description('SQLAlchemy URL of the database, without anybody\'s credentials.')
output sqlUrl string = sql.outputs.url

@description('Name and client id of the command side\'s identity, for its user in the database.')
output commandUser string = '${commandIdentity.name}=${commandIdentity.properties.clientId}'

@description('Name and client id of the query side\'s identity, for its user in the database.')
output viewUser string = '${viewIdentity.name}=${viewIdentity.properties.clientId}'

@description('What the next deployment has to say again.')
output budgetStart string = budgetStart

@description('Name of the storage account.')
output storageAccount string = storage.outputs.name

@description('Name of the container with the last good package.')
output releasesContainer string = storage.outputs.releasesContainer
