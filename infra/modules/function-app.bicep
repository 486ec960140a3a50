// The function app, on Flex Consumption. Every connection says as which identity it is made; none has a key.

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
  @description('Sessions that an instance of a projection works on at a time: orders that change at once.')
  @minValue(1)
  sessionConcurrency: int
  @description('What is kept warm.')
  alwaysReady: alwaysReadyGroup[]
}

@export()
@description('A user-assigned identity, as settings and role assignments name it.')
@sealed()
type identityReference = {
  id: string
  clientId: string
  principalId: string
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
param tags object

@description('How far it scales.')
param scale appScale

@description('Whether instances are spread over zones.')
param zoneRedundant bool

@description('Resource id of the subnet to reach private endpoints from; empty: none.')
param subnetId string

@description('Who the Functions host is: storage, its own keys, telemetry.')
param hostIdentity identityReference

@description('Who changes the database, and publishes.')
param commandIdentity identityReference

@description('Who consumes events, keeps the read models, and reads the database.')
param viewIdentity identityReference

@description('Name of the host\'s storage account.')
param storageAccountName string

@description('Address of the container that the platform keeps the deployed package in.')
param packageContainerUrl string

@description('Address of the vault for the host\'s own keys.')
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
  OTEL_TRACES_SAMPLER: 'parentbased_always_on'
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
  RelaySchedule: relaySchedule
  WatchSchedule: watchSchedule
  PYTHON_THREADPOOL_THREAD_COUNT: '16' // for timers; commands have threads of their own
  AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentSessions: string(scale.sessionConcurrency)
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
  tags: tags
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
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      minTlsVersion: '1.2'
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
          '/api/health/live'
          '/api/health/ready'
          '/api/openapi.json'
          '/api/docs'
          '/api/docs/docs.js'
          '/api/docs/favicon-32x32.png'
          '/api/docs/swagger-ui-bundle.js'
          '/api/docs/swagger-ui.css'
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

  resource publishing 'basicPublishingCredentialsPolicies' = [
    for way in ['scm', 'ftp']: {
      name: way
      properties: { allow: false }
    }
  ]
}

@description('Name of the app.')
output name string = site.name

@description('Resource id of the app.')
output id string = site.id

@description('Where the API begins.')
output apiUrl string = 'https://${site.properties.defaultHostName}/api'
