"""Keeps items in S3, through boto3 in threads. Start at `adapter.py`."""
