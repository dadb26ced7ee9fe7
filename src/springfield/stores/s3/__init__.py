"""Keeps items in S3: read through obstore, everything else through boto3. Start at `adapter.py`."""
