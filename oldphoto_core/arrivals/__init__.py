"""Scans that have just arrived: notifications read, gathered on disk, and handed to whatever runs restorations."""

from oldphoto_core.arrivals.dispatch import Dispatcher, Orchestrator
from oldphoto_core.arrivals.notifications import Arrived, BadNotification, Sorted, read_notification, sort_arrivals
from oldphoto_core.arrivals.spool import ArrivalSpool, Batch, Gathering
from oldphoto_core.errors import OrchestratorAway

__all__ = [
    "ArrivalSpool",
    "Arrived",
    "BadNotification",
    "Batch",
    "Dispatcher",
    "Gathering",
    "Orchestrator",
    "OrchestratorAway",
    "Sorted",
    "read_notification",
    "sort_arrivals",
]
