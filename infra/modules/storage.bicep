// The storage account of the Functions host, with the deployed package and the last one that passed its smoke test.

import { tagValues } from 'types.bicep'
import { roles } from 'roles.bicep'

@description('Name of the account, unique in Azure.')
@minLength(3)
@maxLength(24)
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags tagValues

@description('Whether copies are kept in three zones.')
param zoneRedundant bool

@description('Whether it can be reached from outside of the private network.')
param publicAccess bool

@description('Name of the identity of the Functions host.')
param hostName string

@description('Object id of whoever deploys.')
param deployerObjectId string

@description('Whether everything that clients ask of it is logged; it is much, and paid by the gigabyte.')
param diagnostics bool

@description('Resource id of the workspace for that.')
param workspaceId string

resource host 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: hostName
}

resource account 'Microsoft.Storage/storageAccounts@2026-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS' }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: publicAccess ? 'Allow' : 'Deny'
    }
  }

  resource blobs 'blobServices' = {
    name: 'default'

    resource package 'containers' = { name: 'package' }
    resource releases 'containers' = { name: 'releases' }
  }

  resource tables 'tableServices' existing = { name: 'default' }
}

// what the host needs of AzureWebJobsStorage: locks of timers in blobs, diagnostic events in tables; no queue
resource use 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in [roles.storageBlobDataOwner, roles.storageTableDataContributor]: {
    name: guid(account.id, host.id, role)
    scope: account
    properties: {
      principalId: host.properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

// deploy.sh keeps the last good package there, to go back to
resource deployer 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::blobs::releases.id, deployerObjectId, roles.storageBlobDataContributor)
  scope: account::blobs::releases
  properties: {
    principalId: deployerObjectId
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.storageBlobDataContributor
    )
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (diagnostics) {
  name: 'all'
  scope: account::blobs
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
  }
}

resource tableLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (diagnostics) {
  name: 'all'
  scope: account::tables
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
  }
}

@description('Resource id of the account.')
output id string = account.id

@description('Name of the account.')
output name string = account.name

@description('Address of the container that the platform keeps the deployed package in.')
output packageContainerUrl string = '${account.properties.primaryEndpoints.blob}${account::blobs::package.name}'

@description('Name of the container with the last good package.')
output releasesContainer string = account::blobs::releases.name
