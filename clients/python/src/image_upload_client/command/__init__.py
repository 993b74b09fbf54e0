"""The command `images`."""
