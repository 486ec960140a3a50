// Service Bus: the way of events. Its topics are those of the laptop: infra/local/servicebus.json is the one list.

import { tagValues } from 'types.bicep'
import { expressionOf, isOfAnother, subscriber, topicDefinition } from 'topic.bicep'

@description('Name of the namespace, unique in Azure.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags tagValues

@description('Standard, or Premium, which private endpoints need.')
param sku 'Standard' | 'Premium'

@description('Megabytes of messages that each topic has room for.')
param topicSizeMB int

@description('Whether it can be reached from outside of the private network.')
param publicAccess bool

@description('Who else listens, beside this system; null: those that do on the laptop.')
param subscribers subscriber[]?

@description('Name of the identity that publishes events.')
param senderName string

@description('Name of the identity that consumes them.')
param receiverName string

@description('Whether everything that clients ask of it is logged; it is much, and paid by the gigabyte.')
param diagnostics bool

@description('Resource id of the workspace for that.')
param workspaceId string

var topics topicDefinition[] = loadJsonContent('../local/servicebus.json').UserConfig.Namespaces[0].Topics
var laptops subscriber[] = flatten(map(
  topics,
  topic =>
    map(filter(topic.Subscriptions, each => isOfAnother(each)), each => {
      name: each.Name
      topic: topic.Name
      events: map(each.Rules, rule => rule.Properties.CorrelationFilter.Label)
    })
))

var rules = flatten(map(
  topics,
  topic =>
    map(
      filter(topic.Subscriptions, each => !isOfAnother(each)),
      each => '${topic.Name}/${each.Name}=${expressionOf(each)}'
    )
))

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
    params: {
      namespaceName: namespace.name
      definition: definition
      sizeMB: topicSizeMB
      subscribers: filter(subscribers ?? laptops, listener => listener.topic == definition.Name)
      senderName: senderName
      receiverName: receiverName
    }
  }
]

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (diagnostics) {
  name: 'all'
  scope: namespace
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
  }
}

@description('Resource id of the namespace.')
output id string = namespace.id

@description('Host name of the namespace.')
output hostName string = '${namespace.name}.servicebus.windows.net'

@description('What comes into each subscription of the system itself: TOPIC/SUBSCRIPTION=CONDITION; ...')
output rules string = join(rules, '; ')
