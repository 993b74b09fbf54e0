"""Adapter of Scanner: an HTTP server of the operator."""
