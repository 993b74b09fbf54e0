"""The commands of `python -m app`: one module for each command or group of commands."""
