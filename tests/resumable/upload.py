"""Uploads a file with tuspy: `python upload.py ENDPOINT AUTHORIZATION FILE`."""

from __future__ import annotations

import sys

from tusclient.client import TusClient

if __name__ == "__main__":
    endpoint, authorization, path = sys.argv[1:]
    uploader = TusClient(endpoint, headers={"Authorization": authorization}).uploader(
        path,
        chunk_size=20_000_000,
        metadata={"filename": "holiday ☀.jpg", "description": "Sent by tuspy"},
        retries=120,
        retry_delay=1,
    )
    uploader.upload()
