"""Where telemetry goes in Azure: to Application Insights, through Azure Monitor's distribution of OpenTelemetry."""

import logging

logger = logging.getLogger(__name__)


def export_telemetry(connection_string: str) -> None:
    """Send spans, metrics and logs there from now on; where that fails, the app runs on without.

    The distribution signs in as the managed identity that APPLICATIONINSIGHTS_AUTHENTICATION_STRING names.

    Args:
        connection_string: of Application Insights.
    """
    try:
        from azure.monitor.opentelemetry import configure_azure_monitor  # noqa: PLC0415  # 1.5 s that a laptop does without
        from opentelemetry.instrumentation.logging.handler import LoggingHandler  # noqa: PLC0415  # as above

        configure_azure_monitor(
            connection_string=connection_string,
            # the Functions host sends both for the whole instance
            enable_live_metrics=False,
            enable_performance_counters=False,
            # our own spans say what these would, once instead of three times; Service Bus's would replace ours
            instrumentation_options={
                library: {"enabled": False} for library in ("azure_sdk", "requests", "urllib", "urllib3")
            },
        )
        for handler in logging.getLogger().handlers:
            if isinstance(handler, LoggingHandler):
                handler.addFilter(is_worth_sending)
    except Exception:  # a system that cannot be watched is better than none
        logger.exception("telemetry goes nowhere")


def is_worth_sending(record: logging.LogRecord) -> bool:
    """Let everybody's warnings pass, and what we say ourselves: SDKs say a line for every request they make."""
    return record.levelno >= logging.WARNING or record.name.startswith("shared.")
