// Cosmos DB: the read side. Its containers are those of the laptop: infra/local/cosmos.json is the one list.

import { tagValues } from 'types.bicep'
import { cosmosRoles } from 'roles.bicep'

@description('A path of documents.')
@sealed()
type indexedPath = {
  @description('The path, such as /status/?.')
  path: string
}

@description('A path of a composite index.')
@sealed()
type orderedPath = {
  @description('The path.')
  path: string
  @description('In which order.')
  order: 'ascending' | 'descending'
}

@description('A container. Sealed: what is not mapped below is an error.')
@sealed()
type containerDefinition = {
  @description('Its name.')
  id: string
  @description('Path of the partition key.')
  partitionKey: string
  @description('Seconds that a document lives.')
  defaultTtl: int?
  @description('What is indexed.')
  indexingPolicy: {
    @description('With each write.')
    indexingMode: 'consistent'
    @description('What is; the partition key too, which Azure does not index by itself.')
    includedPaths: indexedPath[]
    @description('What is not.')
    excludedPaths: indexedPath[]
    @description('What is sorted by together.')
    compositeIndexes: orderedPath[][]?
  }
}

@description('Name of the account, unique in Azure.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags tagValues

@description('Most request units a second of all containers together, scaled automatically from a tenth of it; 0: serverless.')
@minValue(0)
param maxThroughput int

@description('Whether the account survives the loss of a zone.')
param zoneRedundant bool

@description('Whether it can be reached from outside of the private network.')
param publicAccess bool

@description('Name of the identity that reads and writes documents.')
param writerName string

@description('Whether everything that clients ask of it is logged; it is much, and paid by the gigabyte.')
param diagnostics bool

@description('Resource id of the workspace for that.')
param workspaceId string

var topology = loadJsonContent('../local/cosmos.json')
var containers containerDefinition[] = topology.containers
var serverless = maxThroughput == 0

resource writer 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: writerName
}

resource account 'Microsoft.DocumentDB/databaseAccounts@2026-03-15' = {
  name: name
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    // In the one region each read asks two of four replicas, of which three have each write: so it sees what any process has
    // written before, for twice the request units (ADR 43). The bounds are for other regions: the least that one region
    // takes, where two want 100000 and 300.
    consistencyPolicy: { defaultConsistencyLevel: 'BoundedStaleness', maxStalenessPrefix: 10, maxIntervalInSeconds: 5 }
    locations: [{ locationName: location, failoverPriority: 0, isZoneRedundant: zoneRedundant }]
    capabilities: serverless ? [{ name: 'EnableServerless' }] : []
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    // everything here can be rebuilt from the event logs; this is for the day when there is no time to
    backupPolicy: { type: 'Continuous', continuousModeProperties: { tier: 'Continuous7Days' } }
  }

  resource database 'sqlDatabases' = {
    name: topology.database
    properties: {
      // shared by the containers: a spare one for a rebuilt read model would else cost as much as one in use
      options: serverless ? {} : { autoscaleSettings: { maxThroughput: maxThroughput } }
      resource: { id: topology.database }
    }

    // one after another: containers that share the database's throughput would get into each other's way
    @batchSize(1)
    resource container 'containers' = [
      for definition in containers: {
        name: definition.id
        properties: {
          resource: {
            id: definition.id
            partitionKey: { kind: 'Hash', paths: [definition.partitionKey], version: 2 }
            defaultTtl: definition.?defaultTtl
            indexingPolicy: definition.indexingPolicy
          }
        }
      }
    ]
  }

  // data-plane roles are the account's own, not Azure's; this one can neither make nor alter containers
  resource write 'sqlRoleAssignments' = {
    name: guid(account.id, writer.id, cosmosRoles.dataContributor)
    properties: {
      principalId: writer.properties.principalId
      roleDefinitionId: '${account.id}/sqlRoleDefinitions/${cosmosRoles.dataContributor}'
      scope: '${account.id}/dbs/${topology.database}'
    }
    dependsOn: [database]
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (diagnostics) {
  name: 'all'
  scope: account
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated' // tables of its own, which cost less to ask
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
  }
}

@description('Resource id of the account.')
output id string = account.id

@description('Name of the database.')
output databaseName string = account::database.name

@description('Where the account answers.')
output endpoint string = account.properties.documentEndpoint
