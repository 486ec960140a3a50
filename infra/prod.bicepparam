// The shop: ready at any time, in three zones, its stores in a private network.
using 'main.bicep'

param environmentName = 'prod'

param sqlAdministrators = {
  name: readEnvironmentVariable('SQL_ADMINISTRATORS_NAME')
  objectId: readEnvironmentVariable('SQL_ADMINISTRATORS_ID')
}

param apiClientId = readEnvironmentVariable('API_CLIENT_ID')

param database = {
  sku: 'HS_Gen5_2'
  autoPauseMinutes: -1
  minCores: ''
  replicas: 1
  backups: 'Zone'
}

param cosmosMaxThroughput = 4000
param serviceBusSku = 'Premium'

param subscribers = [
  { name: 'billing', topic: 'order-events', events: ['OrderConfirmedV1'] }
  { name: 'shipping', topic: 'order-events', events: ['OrderConfirmedV1'] }
]

// Two of each group that a customer waits for: one in each of two zones.
param scale = {
  maximumInstances: 100
  memoryMB: 2048
  httpConcurrency: 32
  sessionConcurrency: 128
  alwaysReady: [
    { name: 'http', instanceCount: 2 }
    { name: 'function:project_order', instanceCount: 2 }
    { name: 'function:project_product', instanceCount: 2 }
  ]
}

param relaySchedule = '*/10 * * * * *'
param watchSchedule = '0 * * * * *'
param relayWindow = 'PT15M'

param zoneRedundant = true
param privateNetworking = true
param logRetentionDays = 90
param alertEmail = readEnvironmentVariable('ALERT_EMAIL')
param monthlyBudget = 2500
param budgetStart = readEnvironmentVariable('BUDGET_START')
