"""Copies of the embedded backend: records in SQLite, objects on a disk, and the generated secret."""
