// Puts out what it is told, as a deployment of its own, and makes nothing.

@description('What is known of an environment.')
type facts = {
  @description('One of them.')
  *: string
}

@description('What is known of the environment, by name.')
param known facts

@description('The same.')
output known facts = known
