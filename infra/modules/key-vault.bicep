// The vault of the Functions host's own keys, such as the one for /admin, and of the secrets at the payment provider, which
// the platform reads as the host's identity.

import { tagValues } from 'types.bicep'
import { roles } from 'roles.bicep'

@description('Name of the vault, unique in Azure.')
@minLength(3)
@maxLength(24)
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags tagValues

@description('Whether it can be reached from outside of the private network.')
param publicAccess bool

@description('Name of the identity of the Functions host, which makes the keys.')
param hostName string

@description('Whether a deleted vault can be removed for good only when its 90 days are over. Once on, it stays on.')
param purgeProtection bool

@description('Whether to bring a deleted vault of this name back, with its keys, instead of making one.')
param recover bool

@description('Whether everything that clients ask of it is logged; it is much, and paid by the gigabyte.')
param diagnostics bool

@description('Resource id of the workspace for that.')
param workspaceId string

resource host 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: hostName
}

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: purgeProtection ? 90 : 7 // cannot be changed later
    enablePurgeProtection: purgeProtection ? true : null // Azure refuses false
    createMode: recover ? 'recover' : 'default'
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: publicAccess ? 'Allow' : 'Deny'
    }
  }
}

resource keep 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, host.id, roles.keyVaultSecretsOfficer)
  scope: vault
  properties: {
    principalId: host.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsOfficer)
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (diagnostics) {
  name: 'all'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
  }
}

@description('Resource id of the vault.')
output id string = vault.id

@description('Address of the vault.')
output uri string = vault.properties.vaultUri
