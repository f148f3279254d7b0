from __future__ import annotations

import numpy as np
import pytest

from kernels.runtime import EmulatedDevice


@pytest.fixture(scope="session")
def device() -> EmulatedDevice:
    return EmulatedDevice(timeout_s=60)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20231022)
