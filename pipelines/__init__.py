"""Whole jobs on top of `sds`: files in, files out. Nothing here knows about pages."""
