"""Builds everything from the settings and owns all lifetimes."""
