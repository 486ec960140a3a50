// The function app, on Flex Consumption. Every connection says as which identity it is made; none has a key.

import { tagValues } from 'types.bicep'

@export()
@description('Instances of a group of functions that are kept ready.')
@sealed()
type alwaysReadyGroup = {
  @description('http for all HTTP functions together, function:NAME for any other function: those scale one by one.')
  name: string
  @description('How many.')
  @minValue(0)
  instanceCount: int
}

@export()
@description('How far the app scales, and how much an instance takes on.')
@sealed()
type appScale = {
  @description('Most instances of each group of functions.')
  @minValue(1)
  @maxValue(1000)
  maximumInstances: int
  @description('Memory of an instance in megabytes.')
  memoryMB: 512 | 2048 | 4096
  @description('HTTP requests that an instance handles at a time before another is added.')
  @minValue(1)
  @maxValue(1000)
  httpConcurrency: int
  @description('Events that an instance of a projection works on at a time; more that wait add an instance.')
  @minValue(1)
  eventConcurrency: int
  @description('What is kept warm.')
  alwaysReady: alwaysReadyGroup[]
}

@description('A user-assigned identity, as the app and its settings name it.')
@sealed()
type appIdentity = {
  @description('Resource id.')
  id: string
  @description('Client id.')
  clientId: string
}

@export()
@description('The API in Entra ID: whose tokens are taken, and for whom they must be.')
@sealed()
type apiRegistration = {
  @description('Client id of the app registration.')
  clientId: string
  @description('Address of the tenant that issues the tokens, version 2.0.')
  issuer: string
  @description('Names of the API in tokens, beside the client id and api://CLIENT-ID.')
  audiences: string[]
}

@description('End of every name: what system and which environment.')
param name string

@description('Whose tokens are taken.')
param registration apiRegistration

@description('Name of the app, unique in Azure: it is in its address.')
param siteName string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags tagValues

@description('How far it scales.')
param scale appScale

@description('How a new package takes the old one\'s place: all at once, which ends what is running, or instance by instance.')
param updateStrategy 'Recreate' | 'RollingUpdate'

@description('Whether instances are spread over zones; each group of functions then has two that are kept ready, whatever scale.alwaysReady says.')
param zoneRedundant bool

@description('Resource id of the subnet to reach private endpoints from; empty: none.')
param subnetId string

@description('Who the Functions host is: storage, its own keys, telemetry.')
param hostIdentity appIdentity

@description('Who changes the database, and publishes.')
param commandIdentity appIdentity

@description('Who consumes events, keeps the read models, and reads the database.')
param viewIdentity appIdentity

@description('Name of the host\'s storage account.')
param storageAccountName string

@description('Address of the container that the platform keeps the deployed package in.')
param packageContainerUrl string

@description('Address of the vault for the host\'s own keys, and for what the payment provider gave us.')
param keyVaultUri string

@description('Where telemetry goes.')
param insightsConnectionString string

@description('SQLAlchemy URL of the database.')
param sqlUrl string

@description('Where Cosmos DB answers.')
param cosmosEndpoint string

@description('Name of the database of read models.')
param cosmosDatabase string

@description('Host name of the Service Bus namespace.')
param serviceBusHostName string

@description('When the relays look for events that were left unpublished, as NCRONTAB.')
param relaySchedule string

@description('When read models are held against the event log, and rebuilds go on whose process has died, as NCRONTAB.')
param watchSchedule string

@description('Hours within which the erasure of a customer can be withdrawn.')
param erasureGraceHours int

var settings = {
  AzureWebJobsStorage__accountName: storageAccountName
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: hostIdentity.clientId
  AzureWebJobsSecretStorageType: 'keyvault'
  AzureWebJobsSecretStorageKeyVaultUri: keyVaultUri
  AzureWebJobsSecretStorageKeyVaultClientId: hostIdentity.clientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${hostIdentity.clientId};Authorization=AAD'
  // the worker sends its own telemetry, as part of the host's traces and under the same name: docs/telemetry.md
  PYTHON_ENABLE_OPENTELEMETRY: 'true'
  // every request has its row, the host's and the worker's: both read this pair, and without it record five traces a second
  OTEL_TRACES_SAMPLER: 'microsoft.fixed_percentage'
  OTEL_TRACES_SAMPLER_ARG: '1.0'
  OTEL_EXPERIMENTAL_RESOURCE_DETECTORS: 'azure_functions'
  // triggers do not wake without both the credential and the client id
  ServiceBusConnection__fullyQualifiedNamespace: serviceBusHostName
  ServiceBusConnection__credential: 'managedidentity'
  ServiceBusConnection__clientId: viewIdentity.clientId
  CosmosConnection__accountEndpoint: cosmosEndpoint
  CosmosConnection__clientId: viewIdentity.clientId
  CosmosDatabase: cosmosDatabase
  SqlConnection: sqlUrl
  AZURE_CLIENT_ID: commandIdentity.clientId
  // both are put into the vault by hand (docs/settings.md); the app never shows them
  STRIPE_SECRET_KEY: '@Microsoft.KeyVault(SecretUri=${keyVaultUri}secrets/stripe-secret-key)'
  STRIPE_WEBHOOK_SECRET: '@Microsoft.KeyVault(SecretUri=${keyVaultUri}secrets/stripe-webhook-secret)'
  RelaySchedule: relaySchedule
  WatchSchedule: watchSchedule
  ErasureGraceHours: string(erasureGraceHours)
  PYTHON_THREADPOOL_THREAD_COUNT: '16' // for timers; commands have threads of their own
  // the host and the worker both hold a body before the code can refuse it, also of a webhook that nobody has signed
  FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: string(2 * 1024 * 1024)
  AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentCalls: string(scale.eventConcurrency)
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true, zoneRedundant: zoneRedundant }
}

resource site 'Microsoft.Web/sites@2025-03-01' = {
  name: siteName
  location: location
  tags: union(tags, { 'azd-service-name': 'api' }) // by which azd finds the service of azure.yaml
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${hostIdentity.id}': {}
      '${commandIdentity.id}': {}
      '${viewIdentity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: hostIdentity.id
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
      http20Enabled: true
      ftpsState: 'Disabled'
      appSettings: map(items(settings), setting => { name: setting.key, value: setting.value })
    }
    functionAppConfig: {
      runtime: { name: 'python', version: '3.13' }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: hostIdentity.id
          }
        }
      }
      // a preview, which Azure's resource types do not have yet
      #disable-next-line BCP037
      siteUpdateStrategy: { type: updateStrategy }
      scaleAndConcurrency: {
        maximumInstanceCount: scale.maximumInstances
        instanceMemoryMB: scale.memoryMB
        alwaysReady: scale.alwaysReady
        triggers: { http: { perInstanceConcurrency: scale.httpConcurrency } }
      }
    }
  }

  // The code trusts the principal header that this writes, and nothing else: so it cannot be turned off by a parameter.
  resource authentication 'config' = {
    name: 'authsettingsV2'
    properties: {
      platform: { enabled: true }
      globalValidation: {
        requireAuthentication: true
        unauthenticatedClientAction: 'Return401'
        // each in full: what an asterisk matches is not documented
        excludedPaths: [
          // az asks these after a deployment, with the host's own key, which the host still wants to see
          '/admin/host/status'
          '/admin/host/synctriggers'
          '/api/health/live'
          '/api/health/ready'
          '/api/openapi.json'
          '/api/asyncapi.json'
          // the payment provider calls it, and its signature is looked at
          '/api/payments/webhook'
          '/api/docs'
          '/api/docs/docs.js'
          '/api/docs/favicon-32x32.png'
          '/api/docs/swagger-ui-bundle.js'
          '/api/docs/swagger-ui.css'
          // the console's page, which holds nothing; what it shows, it asks of the API with its reader's rights
          '/api/ops/console'
          '/api/ops/console/api.js'
          '/api/ops/console/audit.js'
          '/api/ops/console/charts.js'
          '/api/ops/console/console.css'
          '/api/ops/console/console.js'
          '/api/ops/console/dead-letters.js'
          '/api/ops/console/icon.svg'
          '/api/ops/console/overview.js'
          '/api/ops/console/parts.js'
          '/api/ops/console/preact-htm.js'
          '/api/ops/console/processes.js'
          '/api/ops/console/read-models.js'
          '/api/ops/console/uplot.css'
          '/api/ops/console/uplot.js'
          '/api/ops/console/why.js'
        ]
      }
      httpSettings: { requireHttps: true }
      login: { tokenStore: { enabled: false } }
      identityProviders: {
        azureActiveDirectory: {
          enabled: true
          registration: { clientId: registration.clientId, openIdIssuer: registration.issuer }
          validation: {
            allowedAudiences: [registration.clientId, 'api://${registration.clientId}', ...registration.audiences]
          }
        }
      }
    }
  }

  // two resources: in a loop over their names the compiler checks no types
  resource publishing 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }

  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }
}

@description('Name of the app.')
output name string = site.name

@description('Where the API begins.')
output apiUrl string = 'https://${site.properties.defaultHostName}/api'
