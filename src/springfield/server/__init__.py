"""The running process: `lifecycle.py` binds, serves and stops."""
