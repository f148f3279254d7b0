"""Full working kernels, one sub-package a topic, and the runtime they share."""
