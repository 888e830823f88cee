"""The wire and the bookkeeping as pure values: bytes and messages in, bytes and messages out. No I/O, no threads."""
