// The private network: the app reaches its stores through private endpoints, and nobody else reaches them at all.

import { tagValues } from 'types.bicep'

@description('End of every name: what system and which environment.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags tagValues

@description('Address range of the network; the app, the endpoints and the runners get a /24 of it each.')
param addressPrefix string

@description('Private DNS zones of the services that get an endpoint.')
param zones string[]

@description('Whether there is a subnet for what deploys from inside: machines of a pipeline, or a jump host.')
param runnerSubnet bool

@description('Service that this subnet is delegated to, such as GitHub.Network/networkSettings or Microsoft.DevOpsInfrastructure/pools; empty: machines of your own.')
param runnerDelegation string

@description('Resource id of the NAT gateway that this subnet reaches the internet through; empty: it does not, for nothing here has a way out of its own.')
param runnerNatGatewayId string

@description('Resource id of this subnet\'s network security group, which hosted runners want; empty: none.')
param runnerSecurityGroupId string

@description('Resource id of a network to peer with; empty: none. That network must peer back.')
param hubNetworkId string

@description('Whether that network\'s machines find the stores by their names, by the zones here. A network has one zone of a name: one that is linked to such zones already must not.')
param hubLink bool

// Without a list of subnets: with one, a deployment removes what somebody has added by hand. What is changed of a subnet
// that is here, it does take back: so what a subnet may need has a parameter.
resource network 'Microsoft.Network/virtualNetworks@2025-09-01' = {
  name: 'vnet-${name}'
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addressPrefix] }
  }

  resource app 'subnets' = {
    name: 'app'
    properties: {
      addressPrefix: cidrSubnet(addressPrefix, 24, 0)
      // Flex Consumption joins networks the way Container Apps do
      delegations: [{ name: 'app', properties: { serviceName: 'Microsoft.App/environments' } }]
    }
  }

  // One after another, for a network takes one change at a time. Azure forgets a dependency on what is not deployed, and
  // what that one depends on: so who comes after it names both.
  resource endpoints 'subnets' = {
    name: 'endpoints'
    properties: { addressPrefix: cidrSubnet(addressPrefix, 24, 1) }
    dependsOn: [app]
  }

  resource runners 'subnets' = if (runnerSubnet) {
    name: 'runners'
    properties: {
      addressPrefix: cidrSubnet(addressPrefix, 24, 2)
      defaultOutboundAccess: false
      delegations: empty(runnerDelegation) ? [] : [{ name: 'runners', properties: { serviceName: runnerDelegation } }]
      natGateway: empty(runnerNatGatewayId) ? null : { id: runnerNatGatewayId }
      networkSecurityGroup: empty(runnerSecurityGroupId) ? null : { id: runnerSecurityGroupId }
    }
    dependsOn: [endpoints]
  }

  resource peering 'virtualNetworkPeerings' = if (!empty(hubNetworkId)) {
    name: 'hub'
    properties: {
      remoteVirtualNetwork: { id: hubNetworkId }
      allowVirtualNetworkAccess: true
      allowForwardedTraffic: true
    }
    dependsOn: [endpoints, runners]
  }
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

resource linkOfHub 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (_, index) in zones: if (!empty(hubNetworkId) && hubLink) {
    parent: zone[index]
    name: 'hub'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: hubNetworkId }
    }
  }
]

@description('Resource id of the subnet that the app is integrated with.')
output appSubnetId string = network::app.id

@description('Resource id of the subnet for private endpoints.')
output endpointsSubnetId string = network::endpoints.id
