"""What watches a launch's memory accesses: counters of shared memory, caches, checkers."""
