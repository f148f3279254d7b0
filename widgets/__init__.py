"""The notebooks' interactive figures. Each shows static HTML where no kernel is live."""

from widgets.access_pattern import access_pattern
from widgets.costs import Cost, copy_blocks, cost, cost_chart, cost_table
from widgets.device_card import device_card
from widgets.predict import predict, predictions
from widgets.recorded import Figure, measured_beside_recorded
from widgets.source import show_source, source_view

__all__ = [
    "Cost",
    "Figure",
    "access_pattern",
    "copy_blocks",
    "cost",
    "cost_chart",
    "cost_table",
    "device_card",
    "measured_beside_recorded",
    "predict",
    "predictions",
    "show_source",
    "source_view",
]
