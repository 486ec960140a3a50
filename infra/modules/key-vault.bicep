// The vault of the Functions host's own keys, such as the one for /admin. The system itself has no secrets.

import { roles } from 'roles.bicep'

@description('Name of the vault, unique in Azure.')
@minLength(3)
@maxLength(24)
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags object

@description('Whether it can be reached from outside of the private network.')
param publicAccess bool

@description('Object id of the identity of the Functions host, which makes the keys.')
param hostPrincipalId string

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    enablePurgeProtection: true
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: publicAccess ? 'Allow' : 'Deny'
    }
  }
}

resource keep 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, hostPrincipalId, roles.keyVaultSecretsOfficer)
  scope: vault
  properties: {
    principalId: hostPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsOfficer)
  }
}

@description('Resource id of the vault.')
output id string = vault.id

@description('Address of the vault.')
output uri string = vault.properties.vaultUri
