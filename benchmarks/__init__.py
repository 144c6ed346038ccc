"""The asv suites, and peers.py, which compares with other libraries."""
