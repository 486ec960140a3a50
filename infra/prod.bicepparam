// The shop: ready at any time, in three zones, its stores in a private network.
using 'main.bicep'

param environmentName = 'prod'

param sqlAdministrators = {
  name: readEnvironmentVariable('SQL_ADMINISTRATORS_NAME')
  objectId: readEnvironmentVariable('SQL_ADMINISTRATORS_ID')
}

param apiClientId = readEnvironmentVariable('API_CLIENT_ID')

// Backups are decided when the database is made: with 'Zone' the loss of the region is the loss of every order. 'Zone' is for a
// region without a pair, and for a database that was made with it, of which Azure would refuse another value.
// What is raised in an emergency (docs/operations.md) is raised here too, by a variable, or the next deployment takes it back.
param database = {
  sku: readEnvironmentVariable('SQL_SKU', 'HS_Gen5_2')
  autoPauseMinutes: -1
  minCores: ''
  replicas: 1
  backups: 'GeoZone'
  freeOffer: ''
}

param cosmosMaxThroughput = int(readEnvironmentVariable('COSMOS_MAX_THROUGHPUT', '4000'))
param serviceBusSku = 'Premium'

// Two of each group, in two zones. The platform keeps and bills them in any case where zones are redundant: so they are said.
param scale = {
  maximumInstances: 100
  memoryMB: 2048
  httpConcurrency: 32
  eventConcurrency: 64
  alwaysReady: [
    { name: 'http', instanceCount: 2 }
    { name: 'function:project_order', instanceCount: 2 }
    { name: 'function:project_product', instanceCount: 2 }
    { name: 'function:follow_customers', instanceCount: 2 }
    { name: 'function:follow_fulfilment', instanceCount: 2 }
    { name: 'function:follow_orders', instanceCount: 2 }
    { name: 'function:follow_payments', instanceCount: 2 }
    { name: 'function:follow_products', instanceCount: 2 }
    { name: 'function:fulfil_orders', instanceCount: 2 }
    { name: 'function:perform_due_payment', instanceCount: 2 }
    { name: 'function:relay_events', instanceCount: 2 }
    { name: 'function:keep_watch', instanceCount: 2 }
  ]
}

param relaySchedule = '*/10 * * * * *'
param watchSchedule = '0 * * * * *'
param timerSilence = 15

param updateStrategy = 'RollingUpdate'
param zoneRedundant = true
param privateNetworking = true
param runnerSubnet = bool(readEnvironmentVariable('RUNNER_SUBNET', 'true'))
param runnerDelegation = readEnvironmentVariable('RUNNER_DELEGATION', '')
param runnerNatGatewayId = readEnvironmentVariable('RUNNER_NAT_GATEWAY_ID', '')
param runnerSecurityGroupId = readEnvironmentVariable('RUNNER_SECURITY_GROUP_ID', '')
param hubNetworkId = readEnvironmentVariable('HUB_NETWORK_ID', '')
param hubLink = bool(readEnvironmentVariable('HUB_LINK', 'true'))
param purgeProtection = true
param deployerObjectId = readEnvironmentVariable('DEPLOYER_OBJECT_ID', '')
param recoverVault = bool(readEnvironmentVariable('RECOVER_VAULT', 'false'))
param logRetentionDays = 90
param probed = true
param alertEmail = readEnvironmentVariable('ALERT_EMAIL')
param monthlyBudget = 2500
param budgetStart = readEnvironmentVariable('BUDGET_START')
