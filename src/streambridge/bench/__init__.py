"""Benchmarks through the same Session that serves users, one file each."""
