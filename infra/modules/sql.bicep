// Azure SQL: the write side. Only Entra identities sign in; who may do what is infra/sql/access.py's to say.

import { tagValues } from 'types.bicep'

@export()
@description('Size of the database.')
@sealed()
type databaseSize = {
  @description('Name of the SKU: GP_S_Gen5_1 (serverless), GP_Gen5_2 (provisioned), HS_Gen5_2 (hyperscale).')
  sku: string
  @description('Minutes without a connection until a serverless database is paused; -1: never.')
  autoPauseMinutes: int
  @description('Least number of vCores of a serverless database, as text, for it may be 0.5; empty otherwise.')
  minCores: string
  @description('Replicas that can take over, of a hyperscale database; 0 otherwise.')
  replicas: int
  @description('Where backups are kept; only with Geo and GeoZone do they outlive the region. Of a hyperscale database it cannot be changed after it was made, nor can its zone redundancy, which wants Zone or GeoZone.')
  backups: 'Local' | 'Zone' | 'Geo' | 'GeoZone'
  @description('What happens when Azure SQL\'s free offer (100,000 vCore seconds a month, ten databases of a subscription) is used up; empty: it is not that.')
  freeOffer: '' | 'AutoPause' | 'BillOverUsage'
}

@export()
@description('Entra group whose members administer the server: the identity that migrates, and people on call.')
@sealed()
type administratorGroup = {
  @description('Name of the group.')
  name: string
  @description('Object id of the group.')
  objectId: string
}

@description('Name of the server, unique in Azure.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags tagValues

@description('Who administers the server.')
param administrators administratorGroup

@description('Size of the database.')
param size databaseSize

@description('Whether the database survives the loss of a zone.')
param zoneRedundant bool

@description('Whether it can be reached from outside of the private network.')
param publicAccess bool

@description('Resource id of the workspace that the audit log goes to.')
param workspaceId string

resource server 'Microsoft.Sql/servers@2025-01-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    administrators: {
      administratorType: 'ActiveDirectory'
      azureADOnlyAuthentication: true
      login: administrators.name
      principalType: 'Group'
      sid: administrators.objectId
      tenantId: tenant().tenantId
    }
    minimalTlsVersion: '1.2'
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
  }

  // Without a private network the app comes from addresses that Azure picks. This is Azure's word for "from inside
  // Azure"; who gets in is decided by Entra.
  resource insideAzure 'firewallRules' = if (publicAccess) {
    name: 'AllowAllWindowsAzureIps'
    properties: { startIpAddress: '0.0.0.0', endIpAddress: '0.0.0.0' }
  }

  resource auditing 'auditingSettings' = {
    name: 'default'
    properties: {
      state: 'Enabled'
      isAzureMonitorTargetEnabled: true
      // who signed in and who changed rights or tables; what the app reads and writes is in its own event log
      auditActionsAndGroups: [
        'SUCCESSFUL_DATABASE_AUTHENTICATION_GROUP'
        'FAILED_DATABASE_AUTHENTICATION_GROUP'
        'DATABASE_PERMISSION_CHANGE_GROUP'
        'DATABASE_ROLE_MEMBER_CHANGE_GROUP'
        'SCHEMA_OBJECT_CHANGE_GROUP'
      ]
    }
  }

  resource master 'databases' existing = { name: 'master' }
}

resource database 'Microsoft.Sql/servers/databases@2025-01-01' = {
  parent: server
  name: 'tandem'
  location: location
  tags: tags
  sku: { name: size.sku }
  properties: {
    collation: 'SQL_Latin1_General_CP1_CI_AS'
    zoneRedundant: zoneRedundant
    requestedBackupStorageRedundancy: size.backups
    autoPauseDelay: size.minCores == '' ? null : size.autoPauseMinutes
    minCapacity: size.minCores == '' ? null : json(size.minCores)
    useFreeLimit: empty(size.freeOffer) ? null : true
    freeLimitExhaustionBehavior: empty(size.freeOffer) ? null : size.freeOffer
    highAvailabilityReplicaCount: startsWith(size.sku, 'HS_') ? size.replicas : null
  }
}

// the server's audit goes where master's diagnostics go
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: server::master
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'SQLSecurityAuditEvents', enabled: true }]
  }
  dependsOn: [server::auditing]
}

@description('Resource id of the server.')
output id string = server.id

@description('Resource id of the database.')
output databaseId string = database.id

@description('SQLAlchemy URL of the database, the setting SqlConnection. It signs nobody in: that takes a token.')
output url string = 'mssql+pyodbc://${server.properties.fullyQualifiedDomainName}:1433/${database.name}?driver=ODBC+Driver+18+for+SQL+Server&Encrypt=yes&Connection+Timeout=30'
