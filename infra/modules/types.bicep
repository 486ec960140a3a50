// What modules share.

@export()
@description('Tags of a resource: name and value.')
type tagValues = {
  @description('Value of the tag of that name.')
  *: string
}
