"""The notebooks' interactive figures. Each shows static HTML where no kernel is live."""

from widgets.access_pattern import access_pattern
from widgets.bank_map import bank_map
from widgets.costs import Cost, copy_blocks, cost, cost_chart, cost_table
from widgets.device_card import device_card
from widgets.grids import grid, recorded_grid, recorded_table, side_by_side
from widgets.issue_slots import issue_slots
from widgets.predict import predict, predictions
from widgets.product_costs import ProductCost, product_arrays, product_cost, product_table
from widgets.radix_passes import radix_passes
from widgets.recorded import Figure, measured_beside_recorded
from widgets.roofline import Point, point_of, recorded_points, roofline
from widgets.shared_costs import shared_table, transposes_beside_copies
from widgets.shared_view import shared_view
from widgets.source import show_source, source_view
from widgets.tile_animation import tile_animation
from widgets.time_curves import Curve, rate_curves, recorded_curves, time_curves
from widgets.timeline import block_timeline
from widgets.topk_costs import TopKCost, topk_cost, topk_table
from widgets.warp_queues import warp_queues
from widgets.wave_curves import wave_curves

__all__ = [
    "Cost",
    "Curve",
    "Figure",
    "Point",
    "ProductCost",
    "TopKCost",
    "access_pattern",
    "bank_map",
    "block_timeline",
    "copy_blocks",
    "cost",
    "cost_chart",
    "cost_table",
    "device_card",
    "grid",
    "issue_slots",
    "measured_beside_recorded",
    "point_of",
    "predict",
    "predictions",
    "product_arrays",
    "product_cost",
    "product_table",
    "radix_passes",
    "rate_curves",
    "recorded_curves",
    "recorded_grid",
    "recorded_points",
    "recorded_table",
    "roofline",
    "shared_table",
    "shared_view",
    "show_source",
    "side_by_side",
    "source_view",
    "tile_animation",
    "time_curves",
    "topk_cost",
    "topk_table",
    "transposes_beside_copies",
    "warp_queues",
    "wave_curves",
]
