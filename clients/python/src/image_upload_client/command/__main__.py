"""`python -m image_upload_client.command` is the command `images`."""

from image_upload_client.command.cli import main

main()
