// A place to try things: cheap when idle, and it costs a minute when the database has to wake up.
using 'main.bicep'

param environmentName = 'dev'

param sqlAdministrators = {
  name: readEnvironmentVariable('SQL_ADMINISTRATORS_NAME')
  objectId: readEnvironmentVariable('SQL_ADMINISTRATORS_ID')
}

param apiClientId = readEnvironmentVariable('API_CLIENT_ID')

param database = {
  sku: 'GP_S_Gen5_1'
  autoPauseMinutes: 15
  minCores: '0.5'
  replicas: 0
  backups: 'Local'
}

param cosmosMaxThroughput = 0
param serviceBusSku = 'Standard'

param subscribers = [
  { name: 'billing', topic: 'order-events', events: ['OrderConfirmedV1'] }
  { name: 'shipping', topic: 'order-events', events: ['OrderConfirmedV1'] }
]

param scale = {
  maximumInstances: 40
  memoryMB: 2048
  httpConcurrency: 32
  sessionConcurrency: 64
  alwaysReady: []
}

// Commands publish their own events; the relay only sends what a crash left. Once an hour lets the database pause.
param relaySchedule = '0 0 * * * *'
param watchSchedule = '0 0 * * * *'
param relayWindow = 'PT3H'

param zoneRedundant = false
param privateNetworking = false
param logDailyQuotaGb = 1
param alertEmail = readEnvironmentVariable('ALERT_EMAIL')
param monthlyBudget = 150
param budgetStart = readEnvironmentVariable('BUDGET_START')
