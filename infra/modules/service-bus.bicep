// Service Bus: the way of events. Its topics are those of the laptop: infra/local/servicebus.json is the one list.

import { subscriber, topicDefinition } from 'topic.bicep'

@description('Name of the namespace, unique in Azure.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags object

@description('Standard, or Premium, which private endpoints need.')
param sku 'Standard' | 'Premium'

@description('Whether it can be reached from outside of the private network.')
param publicAccess bool

@description('Who else listens, beside this system.')
param subscribers subscriber[]

@description('Object id of the identity that publishes events.')
param senderPrincipalId string

@description('Object id of the identity that consumes them.')
param receiverPrincipalId string

var topics topicDefinition[] = loadJsonContent('../local/servicebus.json').UserConfig.Namespaces[0].Topics

resource namespace 'Microsoft.ServiceBus/namespaces@2026-01-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: sku, tier: sku, capacity: sku == 'Premium' ? 1 : null }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
  }
}

module topic 'topic.bicep' = [
  for definition in topics: {
    name: 'topic-${definition.Name}'
    params: {
      namespaceName: namespace.name
      definition: definition
      subscribers: filter(subscribers, listener => listener.topic == definition.Name)
      senderPrincipalId: senderPrincipalId
      receiverPrincipalId: receiverPrincipalId
    }
  }
]

@description('Resource id of the namespace.')
output id string = namespace.id

@description('Host name of the namespace.')
output hostName string = '${namespace.name}.servicebus.windows.net'

@description('How many topics there are.')
output topics int = length(topics)
