"""What a collection is made of: checksums, formats and the quality of every picture."""

from oldphoto_core.inventory.collection import InventoryReport, take_stock
from oldphoto_core.inventory.objects import COLUMNS, InventoryRow, examine
from oldphoto_core.inventory.statistics import Statistics, statistics_of

__all__ = [
    "COLUMNS",
    "InventoryReport",
    "InventoryRow",
    "Statistics",
    "examine",
    "statistics_of",
    "take_stock",
]
