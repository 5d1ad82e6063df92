"""Bring the desired state in: files, and news that they changed."""
