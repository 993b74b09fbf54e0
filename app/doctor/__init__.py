"""Checks of an installation: what is wrong with the settings and the surroundings of the service, and what to do."""
