"""Tandem on Azure Functions: settings, then one blueprint for each context. Importing this connects to nothing."""

import gc

import azure.functions as func

from shared.catalog.functions import catalog
from shared.customers.functions import customers
from shared.operations.functions import operations
from shared.ordering.functions import ordering
from shared.platform.azure_monitor import export_telemetry
from shared.platform.cosmos import ReadModels
from shared.platform.http.docs import docs
from shared.platform.http.fallback import fallback
from shared.platform.http.health import health
from shared.platform.settings import Settings

settings = Settings.from_environment()
if settings.application_insights:
    export_telemetry(settings.application_insights)
read_models = ReadModels(settings)
contexts = [ordering(settings, read_models), catalog(settings, read_models), customers(settings)]
consumers = [consumer for context in contexts for consumer in context.consumers]
views = [view for context in contexts for view in context.views]
apis = [*contexts, operations(settings, read_models, consumers, views), health(settings, read_models)]
routes = [operation for api in apis for operation in api.operations]

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for blueprint in (*(api.blueprint for api in apis), docs(routes), fallback(routes)):
    app.register_functions(blueprint)

gc.freeze()  # what is loaded stays; a full collection would go through it each time, and everybody wait for that
