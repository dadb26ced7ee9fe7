"""The request handlers, a file each; `base.py` has what they share. Start at `resource.py`."""
