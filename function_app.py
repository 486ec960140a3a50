"""Tandem on Azure Functions: settings, then one blueprint for each context. Importing this connects to nothing."""

import azure.functions as func

from shared.catalog.functions import catalog
from shared.customers.functions import customers
from shared.ordering.functions import ordering
from shared.platform.cosmos import ReadModels
from shared.platform.http.health import health
from shared.platform.settings import Settings

settings = Settings.from_environment()
read_models = ReadModels(settings)
contexts = [ordering(settings, read_models), catalog(settings, read_models), customers(settings)]

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for context in contexts:
    app.register_functions(context.blueprint)
app.register_functions(health(settings, read_models))
