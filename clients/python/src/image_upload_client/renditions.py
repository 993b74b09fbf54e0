"""The URLs of an image in other sizes and formats."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlencode

from image_upload_client.models import Image

RenditionFormat = Literal["avif", "webp", "jpeg"]


def rendition_url(
    image: Image,
    *,
    width: int | None = None,
    height: int | None = None,
    fit: Literal["contain", "cover"] | None = None,
    format: RenditionFormat | None = None,  # noqa: A002 - the name of the parameter in the API
) -> str | None:
    """Return the URL of the image in another size or format, or None while the image is `pending`.

    `width` and `height` are in pixels, and one of them is required. The service rounds them up to its sizes. With the
    fit `cover`, the image has exactly that size, and is cropped around its focal point. Without a format, the browser
    receives AVIF or WebP if it accepts them, and otherwise JPEG.
    """
    template = image["rendition_url"]
    if template is None:
        return None
    parameters = {"w": width, "h": height, "fit": fit, "format": format}
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    # The template ends with the expression of all parameters, of which RFC 6570 omits those that have no value.
    return re.sub(r"\{\?[^}]*\}$", f"?{query}", template)


def rendition_srcset(image: Image, widths: Iterable[int], *, format: RenditionFormat | None = None) -> str:  # noqa: A002
    """Return the `srcset` of an `<img>` with `sizes`. It is empty while the image is `pending`."""
    urls = ((rendition_url(image, width=width, format=format), width) for width in widths)
    return ", ".join(f"{url} {width}w" for url, width in urls if url)
