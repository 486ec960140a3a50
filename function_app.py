"""Tandem on Azure Functions: settings, then what the contexts declare. Importing this connects to nothing."""

import gc

import azure.functions as func

from shared.contexts import ABOUT, CONTEXTS
from shared.frame.app import App
from shared.frame.http.console import console
from shared.frame.http.declared import declared
from shared.frame.http.docs import docs
from shared.frame.http.fallback import fallback
from shared.frame.http.health import health
from shared.frame.operations.functions import operations
from shared.frame.platform.azure_monitor import export_telemetry
from shared.frame.platform.settings import Settings
from shared.frame.platform.time_formats import keep_time_formats, remember_times
from shared.frame.read_side.cosmos import CosmosDatabase
from shared.frame.timers import timers

keep_time_formats()
remember_times()
settings = Settings.from_environment()
if settings.application_insights:
    export_telemetry(settings.application_insights)
wired = App(settings, CosmosDatabase(settings), ABOUT.owners)
contexts = [declare(wired) for declare in CONTEXTS]
apis = [*map(declared, contexts), operations(wired, contexts), health(contexts)]
routes = [operation for api in apis for operation in api.operations]

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for blueprint in (
    *(api.blueprint for api in apis),
    timers(job for api in apis for job in api.jobs),
    docs(routes, contexts, ABOUT),
    console(),
    fallback(routes),
):
    app.register_functions(blueprint)

gc.freeze()  # what is loaded stays; a full collection would go through it each time, and everybody wait for that
