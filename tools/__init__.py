"""What run.py and .ci/run are made of. Nothing but the standard library may be imported here."""
