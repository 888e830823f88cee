"""The same work on pydist, on its peers and on the bare machine, side by side: ``python -m benchmarks``.

    __main__ ─▶ running ──one process each──▶ systems.<name> ─▶ measure (rows.py) ─▶ JSON ─▶ table

How to read the result is told in docs/performance.md.
"""
