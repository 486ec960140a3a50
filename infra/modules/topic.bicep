// One topic with its subscriptions: the system's own, as the laptop has them, and those of others who listen.

import { roles } from 'roles.bicep'

@sealed()
type subscriptionDefinition = {
  Name: string
  Properties: {
    RequiresSession: bool
    LockDuration: string
    MaxDeliveryCount: int
    DeadLetteringOnMessageExpiration: bool
  }
  @description('The system takes every event of a topic that it subscribes to.')
  @maxLength(0)
  Rules: object[]
}

@export()
@description('A topic as the official emulator\'s Config.json has it. Sealed: what is not mapped below is an error.')
@sealed()
type topicDefinition = {
  Name: string
  Properties: {
    RequiresDuplicateDetection: bool
    DuplicateDetectionHistoryTimeWindow: string
  }
  Subscriptions: subscriptionDefinition[]
}

@export()
@description('Another system that listens to a topic.')
@sealed()
type subscriber = {
  @description('Name of its subscription.')
  name: string
  @description('The topic.')
  topic: string
  @description('Types of the events that it gets, such as OrderConfirmedV1; the subject of a message is its type.')
  @minLength(1)
  events: string[]
}

@description('Name of the namespace; it exists.')
param namespaceName string

@description('The topic.')
param definition topicDefinition

@description('Who else listens to it.')
param subscribers subscriber[]

@description('Object id of the identity that publishes to it.')
param senderPrincipalId string

@description('Object id of the identity that consumes the system\'s own subscriptions.')
param receiverPrincipalId string

var rules = flatten(map(
  range(0, length(subscribers)),
  index => map(subscribers[index].events, event => { listener: index, event: event })
))

resource namespace 'Microsoft.ServiceBus/namespaces@2026-01-01' existing = {
  name: namespaceName
}

resource topic 'Microsoft.ServiceBus/namespaces/topics@2026-01-01' = {
  parent: namespace
  name: definition.Name
  properties: {
    requiresDuplicateDetection: definition.Properties.RequiresDuplicateDetection
    duplicateDetectionHistoryTimeWindow: definition.Properties.DuplicateDetectionHistoryTimeWindow
    supportOrdering: true
    defaultMessageTimeToLive: 'P14D'
  }
}

resource subscription 'Microsoft.ServiceBus/namespaces/topics/subscriptions@2026-01-01' = [
  for own in definition.Subscriptions: {
    parent: topic
    name: own.Name
    properties: {
      requiresSession: own.Properties.RequiresSession
      lockDuration: own.Properties.LockDuration
      maxDeliveryCount: own.Properties.MaxDeliveryCount
      deadLetteringOnMessageExpiration: own.Properties.DeadLetteringOnMessageExpiration
      deadLetteringOnFilterEvaluationExceptions: true
    }
  }
]

// Sessions, because they cannot be turned on later, and whoever bills an order must not see its cancellation first.
// What a subscriber does not fetch is dead-lettered after two weeks, which raises an alert, rather than lost.
resource other 'Microsoft.ServiceBus/namespaces/topics/subscriptions@2026-01-01' = [
  for listener in subscribers: {
    parent: topic
    name: listener.name
    properties: {
      requiresSession: true
      lockDuration: 'PT1M'
      maxDeliveryCount: 10
      deadLetteringOnMessageExpiration: true
      deadLetteringOnFilterEvaluationExceptions: true
    }
  }
]

// A new subscription has a rule $Default that lets everything pass: the first rule takes its place.
resource rule 'Microsoft.ServiceBus/namespaces/topics/subscriptions/rules@2026-01-01' = [
  for wanted in rules: {
    parent: other[wanted.listener]
    name: wanted.event == first(subscribers[wanted.listener].events) ? '$Default' : wanted.event
    properties: {
      filterType: 'CorrelationFilter'
      correlationFilter: { label: wanted.event }
    }
  }
]

resource send 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(topic.id, senderPrincipalId, roles.serviceBusDataSender)
  scope: topic
  properties: {
    principalId: senderPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.serviceBusDataSender)
  }
}

resource receive 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (_, index) in definition.Subscriptions: {
    name: guid(subscription[index].id, receiverPrincipalId, roles.serviceBusDataReceiver)
    scope: subscription[index]
    properties: {
      principalId: receiverPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.serviceBusDataReceiver)
    }
  }
]
