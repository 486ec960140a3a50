// The private network: the app reaches its stores through private endpoints, and nobody else reaches them at all.

@description('End of every name: what system and which environment.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags object

@description('Address range of the network; the app and the endpoints get the first two /24 of it.')
param addressPrefix string

@description('Private DNS zones of the services that get an endpoint.')
param zones string[]

resource network 'Microsoft.Network/virtualNetworks@2025-09-01' = {
  name: 'vnet-${name}'
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(addressPrefix, 24, 0)
          // Flex Consumption joins networks the way Container Apps do
          delegations: [{ name: 'app', properties: { serviceName: 'Microsoft.App/environments' } }]
        }
      }
      {
        name: 'endpoints'
        properties: { addressPrefix: cidrSubnet(addressPrefix, 24, 1) }
      }
    ]
  }

  resource app 'subnets' existing = { name: 'app' }
  resource endpoints 'subnets' existing = { name: 'endpoints' }
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zoneName in zones: {
    name: zoneName
    location: 'global'
    tags: tags
  }
]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (_, index) in zones: {
    parent: zone[index]
    name: network.name
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: network.id }
    }
  }
]

@description('Resource id of the subnet that the app is integrated with.')
output appSubnetId string = network::app.id

@description('Resource id of the subnet for private endpoints.')
output endpointsSubnetId string = network::endpoints.id
