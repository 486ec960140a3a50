"""Sends telemetry to Application Insights, through Azure Monitor's distribution of OpenTelemetry."""

import logging

logger = logging.getLogger(__name__)


def export_telemetry(connection_string: str) -> None:
    """Send spans, metrics and logs from now on; if that fails, the app runs without telemetry.

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
            # our own spans tell the same once, not three times; the instrumentation of Service Bus would replace ours
            instrumentation_options={
                library: {"enabled": False} for library in ("azure_sdk", "requests", "urllib", "urllib3")
            },
        )
        for handler in logging.getLogger().handlers:
            if isinstance(handler, LoggingHandler):
                handler.addFilter(is_worth_sending)
    except Exception:  # an app without telemetry is better than no app
        logger.exception("telemetry goes nowhere")


def is_worth_sending(record: logging.LogRecord) -> bool:
    """Let all warnings pass, and our own informational records: SDKs log a line for every request."""
    return record.levelno >= logging.WARNING or record.name.startswith("shared.")
