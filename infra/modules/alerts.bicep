// What wakes somebody: events that do not arrive, requests that fail, stores at their limit.

import { tagValues } from 'types.bicep'

@description('End of every name: what system and which environment.')
param name string

@description('Azure region of the log alerts.')
param location string

@description('Tags on every resource.')
param tags tagValues

@description('Address that alerts are mailed to.')
param email string

@description('Resource id of the workspace with the logs.')
param workspaceId string

@description('Resource id of the Service Bus namespace.')
param serviceBusId string

@description('Resource id of the Cosmos DB account.')
param cosmosId string

@description('Resource id of the database.')
param databaseId string

@description('Messages that a topic may have waiting for a quarter of an hour before the projections count as behind.')
@minValue(1)
param backlog int

@description('Megabytes of messages that a topic has room for.')
param topicSizeMB int

@description('Minutes within which every piece of the timers\' work must have been done: some times what lies between two runs.')
@minValue(5)
@maxValue(2000)
param timerSilence int

@description('How often logs are asked; an alert that asks every five minutes costs three times as much as one that asks every quarter of an hour.')
param logFrequency 'PT5M' | 'PT15M'

@description('Resource id of Application Insights, which keeps what is found from outside.')
param insightsId string

@description('Whether the app is asked from outside if it is ready, every five minutes from each of five places. That keeps a serverless database awake.')
param probed bool

@description('Where the API begins.')
param apiUrl string

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${name}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: take(name, 12)
    emailReceivers: [{ name: 'operators', emailAddress: email, useCommonAlertSchema: true }]
  }
}

var metrics = [
  {
    name: 'dead-letters'
    description: 'An event could not be handled and was put aside. What to do: docs/operations.md#dead-letters'
    severity: 1
    scope: serviceBusId
    namespace: 'Microsoft.ServiceBus/namespaces'
    metric: 'DeadletteredMessages'
    aggregation: 'Maximum'
    threshold: 0
    window: 'PT5M'
    dimensions: [{ name: 'EntityName', operator: 'Include', values: ['*'] }]
  }
  {
    name: 'projection-lag'
    description: 'Events wait for a projection: what queries answer is old. What to do: docs/operations.md#projection-lag'
    severity: 2
    scope: serviceBusId
    namespace: 'Microsoft.ServiceBus/namespaces'
    metric: 'ActiveMessages'
    aggregation: 'Minimum'
    threshold: backlog
    window: 'PT15M'
    dimensions: [{ name: 'EntityName', operator: 'Include', values: ['*'] }]
  }
  {
    name: 'topic-size'
    description: 'A topic is half full: somebody does not read their subscription. When it is full, nothing is published any more. What to do: docs/operations.md#topic-size'
    severity: 2
    scope: serviceBusId
    namespace: 'Microsoft.ServiceBus/namespaces'
    metric: 'Size'
    aggregation: 'Maximum'
    threshold: topicSizeMB * 1024 * 1024 / 2
    window: 'PT15M'
    dimensions: [{ name: 'EntityName', operator: 'Include', values: ['*'] }]
  }
  {
    name: 'cosmos-throttled'
    description: 'Cosmos DB refuses requests for want of request units, which all containers share: raise the maximum throughput. What to do: docs/operations.md#cosmos-throttled'
    severity: 2
    scope: cosmosId
    namespace: 'Microsoft.DocumentDB/databaseAccounts'
    metric: 'TotalRequests'
    aggregation: 'Count'
    threshold: 100
    window: 'PT5M'
    dimensions: [{ name: 'StatusCode', operator: 'Include', values: ['429'] }]
  }
  {
    name: 'sql-cpu'
    description: 'The database is at its limit: commands get slow, then fail. What to do: docs/operations.md#sql-cpu'
    severity: 2
    scope: databaseId
    namespace: 'Microsoft.Sql/servers/databases'
    metric: 'cpu_percent'
    aggregation: 'Average'
    threshold: 80
    window: 'PT15M'
    dimensions: []
  }
]

resource metricAlert 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for alert in metrics: {
    name: '${alert.name}-${name}'
    location: 'global'
    tags: tags
    properties: {
      enabled: true
      description: alert.description
      severity: alert.severity
      scopes: [alert.scope]
      evaluationFrequency: 'PT5M'
      windowSize: alert.window
      autoMitigate: true
      actions: [{ actionGroupId: people.id }]
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: alert.name
            metricNamespace: alert.namespace
            metricName: alert.metric
            timeAggregation: alert.aggregation
            operator: 'GreaterThan'
            threshold: alert.threshold
            dimensions: alert.dimensions
          }
        ]
      }
    }
  }
]

// The names of the timers' work: what should be counted, not what lately was, which after two days of silence is nothing.
// One rule for both timers, for each costs the same.
var work = concat(
  map(
    loadJsonContent('../local/servicebus.json').UserConfig.Namespaces[0].Topics,
    topic => 'the relay of ${topic.Name}'
  ),
  ['deadlines', 'waiting orders'],
  ['continue_rebuilds', 'watch_projections', 'watch_subscriptions', 'look_after_payments'],
  ['erase_customers', 'erase_orders', 'forget_erased'],
  ['catalog figures', 'ordering figures', 'payments figures']
)

// What is measured is there once, and arrives some minutes late: rules that ask rarely look back over two of their turns.
var turns = logFrequency == 'PT15M' ? 'PT30M' : null

// What two tables tell together is asked after five minutes, when both have it; so this begins and ends five minutes earlier.
var errors = logFrequency == 'PT15M' ? { since: '35m', range: 'PT45M' } : { since: '20m', range: 'PT20M' }

var queries = [
  {
    name: 'unpublished-events'
    description: 'The oldest unpublished event is minutes old: Service Bus does not take what the outbox holds. What to do: docs/operations.md#unpublished-events'
    severity: 1
    query: 'AppMetrics | where Name == "tandem.outbox.oldest" | summarize Seconds = max(Max)'
    measure: 'Seconds'
    threshold: 180
    range: turns
  }
  {
    name: 'waiting-events'
    description: 'An event has waited for a consumer of ours for a quarter of an hour: it gets nothing, or cannot take it in, and what should follow does not. What to do: docs/operations.md#waiting-events'
    severity: 1
    query: 'AppMetrics | where Name == "tandem.subscription.oldest" | summarize Seconds = max(Max)'
    measure: 'Seconds'
    threshold: 900
    range: turns
  }
  {
    name: 'silent-timer'
    description: 'A piece of a timer\'s work is not done, or fails each time: what a crash left in an outbox stays there, or nobody looks after read models, payments and erasures, and other alarms have nothing to go by. What to do: docs/operations.md#silent-timer'
    severity: 1
    query: 'AppMetrics | where Name == "tandem.work.done" and TimeGenerated > ago(${timerSilence}m) | extend Work = tostring(Properties["tandem.work"]) | where Work in ("${join(work, '", "')}") | distinct Work | summarize Silent = ${length(work)} - count()'
    measure: 'Silent'
    threshold: 0
    range: 'P2D'
  }
  {
    name: 'read-model-wrong'
    description: 'What a read model serves is empty, missing, unreadable, or not what the log makes it; or it lacks an event all the time. What to do: docs/operations.md#read-model-wrong'
    severity: 1
    // what is unapplied is on its way, unless it never was none lately
    query: 'AppMetrics | where Name in ("tandem.view.wrong", "tandem.view.differences", "tandem.view.unapplied") | summarize Least = min(Max), Most = max(Max) by Name, View = tostring(Properties["tandem.view"]) | summarize Wrong = max(iff(Name == "tandem.view.unapplied", Least, Most))'
    measure: 'Wrong'
    threshold: 0
    range: turns
  }
  {
    name: 'waiting-list'
    description: 'An order has waited for pieces for a week: nothing comes in, or what comes does not reach it. What to do: docs/operations.md#waiting-list'
    severity: 3
    query: 'AppMetrics | where Name == "tandem.stock.oldest_waiting" | summarize Seconds = max(Max)'
    measure: 'Seconds'
    threshold: 604800
    range: turns
  }
  {
    name: 'overdue-deadlines'
    description: 'Deadlines of orders have passed and are not acted on, or a customer or an order is not erased. What to do: docs/operations.md#overdue-deadlines'
    severity: 2
    query: 'AppMetrics | where Name in ("tandem.fulfilment.overdue", "tandem.erasure.overdue", "tandem.erasure.unerased") | summarize Overdue = max(Max)'
    measure: 'Overdue'
    threshold: 0
    range: turns
  }
  {
    name: 'payment-provider'
    description: 'The payment provider does not do what it is asked for: orders wait for their payment. What to do: docs/operations.md#payment-provider'
    severity: 2
    query: 'AppMetrics | where Name == "tandem.payment.provider_errors" and tostring(Properties["error.type"]) != "refused" | summarize Calls = sum(Sum)'
    measure: 'Calls'
    threshold: 10
    range: turns
  }
  {
    name: 'waiting-payments'
    description: 'A payment has waited for the provider for an hour, longer than its deliveries are repeated. What to do: docs/operations.md#waiting-payments'
    severity: 2
    query: 'AppMetrics | where Name == "tandem.payment.oldest_due" | summarize Seconds = max(Max)'
    measure: 'Seconds'
    threshold: 3600
    range: turns
  }
  {
    name: 'server-errors'
    description: 'The API answers with 5xx. Telling a client to come back later (503) counts too, unless that client alone is why. What to do: docs/operations.md#server-errors'
    severity: 2
    // without those that one caller causes for themselves, or anybody could raise it; both tables have had five minutes.
    // A line is of one request: its parent is the request's span. The trace is the caller's, and may be of many requests
    query: 'AppRequests | where TimeGenerated between (ago(${errors.since}) .. ago(5m)) and toint(ResultCode) between (500 .. 599) | join kind=leftanti (AppTraces | where Message startswith "asked too soon") on $left.Id == $right.ParentId | summarize Failures = sum(ItemCount)'
    measure: 'Failures'
    threshold: 10
    range: errors.range
  }
]

resource queryAlert 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for alert in queries: {
    name: '${alert.name}-${name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      enabled: true
      displayName: alert.name
      description: alert.description
      severity: alert.severity
      scopes: [workspaceId]
      evaluationFrequency: logFrequency
      windowSize: 'PT15M'
      overrideQueryTimeRange: alert.range
      autoMitigate: true
      skipQueryValidation: true // a new workspace has no such tables until the app has run
      actions: { actionGroups: [people.id] }
      criteria: {
        allOf: [
          {
            query: alert.query
            metricMeasureColumn: alert.measure
            timeAggregation: 'Maximum'
            operator: 'GreaterThan'
            threshold: alert.threshold
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
    }
  }
]

// All other alarms rest on what the app or its stores tell. An app that nobody reaches tells nothing. The places are not in
// West Europe, where prod is by default; but what they find arrives in prod's region: of its loss Service Health tells.
resource probe 'Microsoft.Insights/webtests@2022-06-15' = if (probed) {
  name: 'ready-${name}'
  location: location
  tags: union(tags, { 'hidden-link:${insightsId}': 'Resource' }) // what the portal, and the alert, find it by
  kind: 'standard'
  properties: {
    SyntheticMonitorId: 'ready-${name}'
    Name: 'ready-${name}'
    Enabled: true
    Kind: 'standard'
    Frequency: 300
    Timeout: 30
    RetryEnabled: true
    Locations: [
      { Id: 'emea-ru-msa-edge' } // UK South
      { Id: 'emea-gb-db3-azr' } // North Europe
      { Id: 'emea-fr-pra-edge' }
      { Id: 'emea-ch-zrh-edge' }
      { Id: 'emea-se-sto-edge' }
    ]
    Request: { RequestUrl: '${apiUrl}/health/ready', HttpVerb: 'GET', ParseDependentRequests: false }
    ValidationRules: { ExpectedHttpStatusCode: 200, SSLCheck: true, SSLCertRemainingLifetimeCheck: 7 }
  }
}

resource unreachable 'Microsoft.Insights/metricAlerts@2026-01-01' = if (probed) {
  name: 'not-reachable-${name}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    description: 'From three of five places the API does not say that it is ready: nobody is served. What to do: docs/operations.md#not-reachable'
    severity: 0
    scopes: [probe.id, insightsId]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    autoMitigate: true
    actions: [{ actionGroupId: people.id }]
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: probe.id
      componentId: insightsId
      failedLocationCount: 3
    }
  }
}
