"""One script for each system; each runs in a process of its own: ``python -m benchmarks.systems.<name>``."""
