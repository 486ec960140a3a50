// A budget: it stops nothing, but tells in time.

@description('End of the name: what system and which environment.')
param name string

@description('What the resource group may cost in a month, in the currency of the subscription.')
@minValue(0)
param monthlyAmount int

@description('First day of the month that the budget began with, such as 2026-11-01. It cannot be changed.')
param start string

@description('Address that is told.')
param email string

resource budget 'Microsoft.Consumption/budgets@2026-06-01' = {
  name: 'budget-${name}'
  properties: {
    category: 'Cost'
    amount: monthlyAmount
    timeGrain: 'Monthly'
    timePeriod: { startDate: start }
    notifications: {
      spent: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 80
        thresholdType: 'Actual'
        contactEmails: [email]
      }
      forecast: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: [email]
      }
    }
  }
}
