// One topic with its subscriptions: the system's own, as the laptop has them, and those of others who listen.

import { roles } from 'roles.bicep'

@description('Lets events of one type in: a rule of another system\'s subscription.')
@sealed()
type correlationFilter = {
  @description('Equal to what is named.')
  FilterType: 'Correlation'
  @description('What is named.')
  CorrelationFilter: {
    @description('The subject of the message: the event\'s type.')
    Label: string
  }
}

@description('Keeps away the events that a consumer of the system itself ignores (ADR 40).')
@sealed()
type sqlFilter = {
  @description('Whatever fulfils a condition.')
  FilterType: 'Sql'
  @description('The condition, as infra/local/rules.py writes it.')
  SqlFilter: {
    @description('The subject of the message is its event\'s type.')
    @maxLength(1024)
    SqlExpression: string
  }
}

@discriminator('FilterType')
type filterDefinition = correlationFilter | sqlFilter

@description('What a subscription lets in.')
@sealed()
type ruleDefinition = {
  @description('Its name.')
  Name: string
  @description('What it lets in.')
  Properties: filterDefinition
}

@export()
@description('A subscription of the system itself, or, where its rules are correlation filters, of another.')
@sealed()
type subscriptionDefinition = {
  @description('Its name.')
  Name: string
  @description('As Azure has them, in other letters.')
  Properties: {
    @description('Whether an aggregate\'s events are taken in one after another.')
    RequiresSession: bool
    @description('How long a message is its receiver\'s.')
    LockDuration: string
    @description('Deliveries after which it is dead-lettered.')
    MaxDeliveryCount: int
    @description('Whether it is when its time is over, rather than lost.')
    DeadLetteringOnMessageExpiration: bool
    @description('The laptop\'s, where nobody may listen: what is not fetched soon is gone. Azure has the topic\'s.')
    DefaultMessageTimeToLive: string?
  }
  @description('None: every event of the topic comes in.')
  Rules: ruleDefinition[]
}

@export()
@description('A topic as the official emulator\'s Config.json has it. Sealed: what is not mapped below is an error.')
@sealed()
type topicDefinition = {
  @description('Its name.')
  Name: string
  @description('As Azure has them, in other letters.')
  Properties: {
    @description('Whether a message that is sent twice is dropped.')
    RequiresDuplicateDetection: bool
    @description('How far apart.')
    DuplicateDetectionHistoryTimeWindow: string
  }
  @description('The system\'s own, and those of others.')
  Subscriptions: subscriptionDefinition[]
}

@export()
@description('Whether a subscription is another system\'s.')
func isOfAnother(subscription subscriptionDefinition) bool =>
  contains(map(subscription.Rules, rule => rule.Properties.FilterType), 'Correlation')

@export()
@description('The condition for coming into a subscription of the system itself.')
func expressionOf(own subscriptionDefinition) string =>
  empty(own.Rules) ? '1=1' : own.Rules[0].Properties.SqlFilter.SqlExpression

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

@description('Megabytes of messages that it has room for, those of all subscriptions and their dead letters.')
param sizeMB int

@description('Who else listens to it.')
param subscribers subscriber[]

@description('Name of the identity that publishes to it.')
param senderName string

@description('Name of the identity that consumes the system\'s own subscriptions.')
param receiverName string

var ownSubscriptions = filter(definition.Subscriptions, each => !isOfAnother(each))
var rules = flatten(map(
  range(0, length(subscribers)),
  index => map(subscribers[index].events, event => { listener: index, event: event })
))

resource sender 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: senderName
}

resource receiver 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: receiverName
}

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
    maxSizeInMegabytes: sizeMB
    defaultMessageTimeToLive: 'P14D'
  }
}

// One after another, as all loops below: Service Bus refuses changes of one entity that collide (429, SubCode 40901).
@batchSize(1)
resource subscription 'Microsoft.ServiceBus/namespaces/topics/subscriptions@2026-01-01' = [
  for own in ownSubscriptions: {
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

// A new subscription has a rule $Default that lets everything pass: the first rule takes its place. A rule stays in Azure
// after the template has forgotten it: so a subscription without one is given that rule of a new one again.
@batchSize(1)
resource taken 'Microsoft.ServiceBus/namespaces/topics/subscriptions/rules@2026-01-01' = [
  for (own, index) in ownSubscriptions: {
    parent: subscription[index]
    name: '$Default'
    properties: {
      filterType: 'SqlFilter'
      sqlFilter: { sqlExpression: expressionOf(own) }
    }
  }
]

// Sessions, because they cannot be turned on later, and whoever bills an order must not see its cancellation first.
// What a subscriber does not fetch is dead-lettered after two weeks, which raises an alert, rather than lost.
@batchSize(1)
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

// The first rule takes the place of $Default here too.
@batchSize(1)
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
  name: guid(topic.id, sender.id, roles.serviceBusDataSender)
  scope: topic
  properties: {
    principalId: sender.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.serviceBusDataSender)
  }
}

resource receive 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (_, index) in ownSubscriptions: {
    name: guid(subscription[index].id, receiver.id, roles.serviceBusDataReceiver)
    scope: subscription[index]
    properties: {
      principalId: receiver.properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.serviceBusDataReceiver)
    }
  }
]
