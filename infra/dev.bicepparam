// A place to try things for under 16 dollars a month (docs/cost.md). It costs a minute when the database has to wake up.
using 'main.bicep'

param environmentName = 'dev'

param sqlAdministrators = {
  name: readEnvironmentVariable('SQL_ADMINISTRATORS_NAME')
  objectId: readEnvironmentVariable('SQL_ADMINISTRATORS_ID')
}

param apiClientId = readEnvironmentVariable('API_CLIENT_ID')

// Azure SQL's free offer: 100,000 vCore seconds a month, which is 55 hours awake. When they are used up, it sleeps until the
// next month, unless it may bill what is over. 'BillOverUsage' is for good: 'AutoPause' is refused from then on. '' for a
// subscription whose ten free databases are others, and for a database that was restored, which cannot be a free one.
param database = {
  sku: 'GP_S_Gen5_2'
  autoPauseMinutes: 15
  minCores: '0.5'
  replicas: 0
  backups: 'Local'
  freeOffer: 'AutoPause'
}

param cosmosMaxThroughput = 0
param serviceBusSku = 'Standard'
param subscribers = [] // nobody listens here

param scale = {
  maximumInstances: 40
  memoryMB: 2048
  httpConcurrency: 32
  eventConcurrency: 64
  alwaysReady: []
}

// Commands publish their own events; the relay only sends what a crash left. Once a day lets the database sleep: the first
// look wakes it up, the second finds it awake.
param relaySchedule = '0 0,5 6 * * *'
param watchSchedule = '0 6 6 * * *'
param timerSilence = 1560 // 26 hours

param updateStrategy = 'Recreate'
param zoneRedundant = false
param privateNetworking = false
param purgeProtection = false // or the same name is taken for 90 days after a deletion
param deployerObjectId = readEnvironmentVariable('DEPLOYER_OBJECT_ID', '')
param recoverVault = bool(readEnvironmentVariable('RECOVER_VAULT', 'false'))
param logDailyQuotaGb = 1
param alertLogFrequency = 'PT15M'
param alertEmail = readEnvironmentVariable('ALERT_EMAIL')
param monthlyBudget = 25
param budgetStart = readEnvironmentVariable('BUDGET_START')
