"""Parallel top-k."""

from kernels.topk.filtered import FilterShape, topk_filtered

__all__ = ["FilterShape", "topk_filtered"]
