"""Checks of an installation. They find errors in the settings and the environment of the service."""
