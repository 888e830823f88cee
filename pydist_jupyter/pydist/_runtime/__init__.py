"""The machinery of one process: its connections, threads, tables and workers. State lives in a `Node`."""
