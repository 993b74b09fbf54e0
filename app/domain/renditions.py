"""Renditions: images in sizes and formats that are rendered when they are first requested."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.domain.images import FocalPoint, Image
from app.domain.renderings import Crop, Output

MAX_RENDITIONS = 64
"""How many renditions of one image are kept."""
PREVIEW_SIDE = 2048
"""The longest side of the preview, from which the renditions that are not larger are made."""
PREVIEW = Output(PREVIEW_SIDE, "auto", quality=92)
MAX_REQUESTED_SIDE = 16_384

RenditionFormat = Literal["avif", "webp", "jpeg"]
Fit = Literal["contain", "cover"]
CENTER = FocalPoint(50, 50)


@dataclass(frozen=True, slots=True)
class RenditionRequest:
    """What a client asks for. At least one of `width` and `height` is given."""

    width: int | None
    height: int | None
    fit: Fit
    format: RenditionFormat


def plan(image: Image, request: RenditionRequest, *, focal_point: FocalPoint, sizes: Sequence[int]) -> Output:
    """Return what is rendered for a request.

    The width is rounded up to one of `sizes`, which are ascending, and the height changes in proportion. The image is
    neither enlarged nor has a side that is longer than the largest size.
    """
    width, height = _rounded(request, image.width / image.height, sizes)
    if request.fit == "contain" or height is None:
        scale = min(1.0, width / image.width, (height or sizes[-1]) / image.height)
        return Output(_longest(image, scale), request.format)
    scale = max(width / image.width, height / image.height)
    if scale > 1:
        width, height, scale = width / scale, height / scale, 1.0
    output = Output(_longest(image, scale), request.format)
    scaled_width, scaled_height = image.width * scale, image.height * scale
    crop = Crop(_pixels(min(width, scaled_width)), _pixels(min(height, scaled_height)), focal_point.x, focal_point.y)
    if (crop.width, crop.height) == (_pixels(scaled_width), _pixels(scaled_height)):
        return output
    return Output(output.longest, request.format, crop=crop)


def uses_preview(image: Image, output: Output) -> bool:
    return output.longest <= PREVIEW_SIDE < max(image.width, image.height)


def _rounded(request: RenditionRequest, ratio: float, sizes: Sequence[int]) -> tuple[float, float | None]:
    """Return the width, and the height if the request has both."""
    width = request.width or math.ceil((request.height or 1) * ratio)
    step = next((size for size in sizes if size >= width), sizes[-1])
    if request.width is None or request.height is None:
        return step, None
    height = request.height * step / width
    shrink = min(1.0, sizes[-1] / height)
    return step * shrink, height * shrink


def _longest(image: Image, scale: float) -> int:
    return _pixels(max(image.width, image.height) * scale)


def _pixels(length: float) -> int:
    return max(1, round(length))
