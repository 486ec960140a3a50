// No environment: every option that dev and prod leave off, so that tests read what it makes in options.snapshot.json.
using '../../infra/main.bicep'

extends '../../infra/prod.bicepparam'

param apiAudiences = ['https://api.example.com']
param subscribers = [
  { name: 'billing', topic: 'order-events', events: ['OrderConfirmedV1', 'OrderCancelledV1'] }
]
param runnerDelegation = 'GitHub.Network/networkSettings'
param runnerNatGatewayId = '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-hub/providers/Microsoft.Network/natGateways/way-out'
param runnerSecurityGroupId = '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-hub/providers/Microsoft.Network/networkSecurityGroups/runners'
param hubNetworkId = '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/hub'
param recoverVault = true
param budgetStart = 'none'
param erasureGraceHours = 48
param diagnostics = true
