// Azure's built-in roles that something here is given, by name.

@export()
@description('Ids of built-in roles; https://learn.microsoft.com/azure/role-based-access-control/built-in-roles')
var roles = {
  keyVaultSecretsOfficer: 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
  serviceBusDataReceiver: '4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0'
  serviceBusDataSender: '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39'
  storageBlobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}

@export()
@description('Ids of the data-plane roles that every Cosmos DB account has; they are not Azure roles.')
var cosmosRoles = {
  dataContributor: '00000000-0000-0000-0000-000000000002'
}
