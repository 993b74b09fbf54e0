"""Fills a development server with a demo account: `python -m infra.seed_demo http://127.0.0.1:8000`.

Registers the account and uploads generated photos through the API. An account that has photos is left unchanged.
"""

from __future__ import annotations

import io
import random
import sys
import time
from urllib.parse import urlsplit

import httpx
from PIL import Image, ImageDraw, ImageFilter

EMAIL = "demo@example.com"
PASSWORD = "correct horse battery"
PHOTOS = {
    "sunrise.jpg": (1600, 1067),
    "harbor.jpg": (1600, 900),
    "mountains.jpg": (1067, 1600),
    "meadow.jpg": (1200, 1200),
    "night.jpg": (1920, 820),
}

_START_SECONDS = 60
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def main(url: str) -> int:
    if urlsplit(url).hostname not in _LOOPBACK:
        sys.stderr.write("The password of the demo account is public. Seed only a server on this machine.\n")
        return 1
    with httpx.Client(base_url=f"{url}/api/v1", timeout=30) as client:
        try:
            _wait_until_ready(client)
            _sign_in(client)
            uploaded = _upload_photos(client)
        except httpx.HTTPError as error:
            sys.stderr.write(f"There is no demo account: {error}\n")
            return 1
    sys.stdout.write(f"Uploaded {uploaded} photos. Sign in at {url} as {EMAIL} with the password: {PASSWORD}\n")
    return 0


def _wait_until_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            client.get("/health/ready").raise_for_status()
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def _sign_in(client: httpx.Client) -> None:
    """Register the account unless it exists, and send its access token with all further requests."""
    registered = client.post("/auth/register", json={"email": EMAIL, "password": PASSWORD, "display_name": "Demo"})
    if registered.status_code == httpx.codes.CONFLICT:
        registered = client.post("/auth/token", data={"username": EMAIL, "password": PASSWORD})
    registered.raise_for_status()
    client.headers["Authorization"] = f"Bearer {registered.json()['access_token']}"


def _upload_photos(client: httpx.Client) -> int:
    existing = client.get("/images", params={"limit": 1})
    existing.raise_for_status()
    if existing.json()["items"]:
        return 0
    for name, size in PHOTOS.items():
        form = {"description": f"A generated picture: {name.removesuffix('.jpg')}"}
        response = client.post("/images/upload", files={"file": (name, draw(name, size))}, data=form)
        response.raise_for_status()
    return len(PHOTOS)


def draw(name: str, size: tuple[int, int]) -> bytes:
    """Return a JPEG of a sky, a sun and hills. The same name and size give the same picture."""
    width, height = size
    chance = random.Random(name)  # noqa: S311 - makes pictures
    top, bottom = (tuple(chance.randrange(40, 256) for _ in range(3)) for _ in range(2))
    gradient = Image.linear_gradient("L").resize(size)
    picture = Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), gradient)
    pen = ImageDraw.Draw(picture)
    x, y, radius = chance.randrange(width), chance.randrange(height // 2), min(size) // 8
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 244, 214))
    for layer in range(3):
        base = height * (5 + layer) // 8
        ridge = [(x, base - chance.randrange(height // 6)) for x in range(0, width + 1, width // 12)]
        shade = tuple(channel // (layer + 2) for channel in bottom)
        pen.polygon([(0, height), *ridge, (width, ridge[-1][1]), (width, height)], fill=shade)
    encoded = io.BytesIO()
    picture.filter(ImageFilter.GaussianBlur(1)).save(encoded, "JPEG", quality=88)
    return encoded.getvalue()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
