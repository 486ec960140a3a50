"""The frame: how any context of CQRS on Azure Functions is carried out. It knows no word of the shop."""
