// The operators' page: what arrives, what waits, what fails.

import { tagValues } from 'types.bicep'

@description('End of the name: what system and which environment.')
param name string

@description('Azure region.')
param location string

@description('Tags on every resource.')
param tags tagValues

@description('Resource id of the workspace that the queries read.')
param workspaceId string

@description('Resource id of the Service Bus namespace whose metrics are shown.')
param serviceBusId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'operations')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    category: 'workbook'
    displayName: 'Operations of ${name}'
    sourceId: workspaceId
    serializedData: replace(
      replace(loadTextContent('workbook.json'), '{workspaceId}', workspaceId),
      '{serviceBusId}',
      serviceBusId
    )
  }
}
