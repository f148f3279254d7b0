"""Hardware units beside the lanes: routines in Python that Numba compiles."""
