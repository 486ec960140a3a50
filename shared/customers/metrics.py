"""Metrics of customers: erasures whose time has passed."""

from datetime import timedelta

from shared.frame.platform.telemetry import Metric

OVERDUE = Metric(
    "tandem.erasure.overdue", "{customer}", "Customers who should be erased, and have no open orders, for over an hour"
)

LATE = timedelta(hours=1)
"""The delay that is no fault: an attempt that failed is repeated at the next ticks."""
