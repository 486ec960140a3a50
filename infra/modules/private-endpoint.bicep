// One private endpoint, with its name in the private DNS zone.

import { tagValues } from 'types.bicep'

@description('Name of the endpoint.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags tagValues

@description('Resource id of the subnet that it lies in.')
param subnetId string

@description('Resource id of what it leads to.')
param targetId string

@description('Which part of the target: sqlServer, Sql, namespace, blob, table, vault.')
param group string

@description('Private DNS zone that clients look the name up in; it exists.')
param zone string

resource dnsZone 'Microsoft.Network/privateDnsZones@2024-06-01' existing = {
  name: zone
}

resource endpoint 'Microsoft.Network/privateEndpoints@2025-09-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      {
        name: group
        properties: {
          privateLinkServiceId: targetId
          groupIds: [group]
        }
      }
    ]
  }

  resource dns 'privateDnsZoneGroups' = {
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [{ name: group, properties: { privateDnsZoneId: dnsZone.id } }]
    }
  }
}
