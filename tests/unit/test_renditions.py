"""Tests of what is rendered for a request of a size."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.ids import id_timestamp, new_id
from app.domain.images import FocalPoint, Image
from app.domain.object_keys import is_rendered_on_demand, rendition_key
from app.domain.renderings import Crop, Output
from app.domain.renditions import CENTER, Fit, RenditionRequest, plan, uses_preview

SIZES = (160, 320, 640, 1280, 2560)


def image_of(width: int, height: int) -> Image:
    fields: dict[str, Any] = {"id": new_id(), "owner_id": "ada", "width": width, "height": height}
    fields |= {"filename": "a.jpg", "description": None, "content_type": "image/jpeg", "size": 1, "sha256": ""}
    return Image(**fields, uploaded_at=id_timestamp(fields["id"]), placeholder=None, thumbnails=())


def planned(image: Image, width: int | None, height: int | None = None, fit: Fit = "contain") -> Output:
    return plan(image, RenditionRequest(width, height, fit, "webp"), focal_point=CENTER, sizes=SIZES)


@pytest.mark.parametrize(
    "size, width, height, longest",
    [
        ((4000, 3000), 300, None, 320),  # rounded up
        ((4000, 3000), 320, None, 320),
        ((4000, 3000), 9999, None, 2560),
        ((3000, 4000), 320, None, 427),  # the height is the longest side
        ((3000, 4000), 2560, None, 2560),  # no side is longer than the largest size
        ((4000, 3000), None, 100, 160),  # 133 wide
        ((4000, 3000), 300, 75, 107),  # 320 x 80
        ((100, 80), 2560, None, 100),  # never enlarged
        ((1000, 1), 160, None, 160),
    ],
)
def test_contain(size: tuple[int, int], width: int | None, height: int | None, longest: int):
    assert planned(image_of(*size), width, height) == Output(longest, "webp")


@pytest.mark.parametrize(
    "size, width, height, longest, cropped",
    [
        ((4000, 3000), 300, 300, 427, (320, 320)),
        ((3000, 4000), 300, 150, 427, (320, 160)),
        ((4000, 3000), 320, 240, 320, None),  # nothing is cut off
        ((4000, 3000), 320, None, 320, None),
        ((100, 80), 640, 640, 100, (80, 80)),  # never enlarged, and the proportions are kept
        ((4000, 4000), 1280, 9999, 2560, (328, 2560)),
    ],
)
def test_cover(size: tuple[int, int], width: int, height: int | None, longest: int, cropped: tuple[int, int] | None):
    crop = Crop(*cropped, 50, 50) if cropped else None
    assert planned(image_of(*size), width, height, "cover") == Output(longest, "webp", crop=crop)


def test_requests_with_the_same_result_share_a_key_and_others_do_not():
    image = image_of(4000, 3000)

    def key(*args: Any) -> str:
        return rendition_key(image.owner_id, image.id, planned(image, *args))

    assert key(300) == key(320) == key(320, 240) == key(320, 240, "cover")
    assert len({key(320), key(640), key(320, 320, "cover"), key(320, 300, "cover")}) == 4
    request = RenditionRequest(320, 320, "cover", "webp")
    other = plan(image, request, focal_point=FocalPoint(0, 0), sizes=SIZES)
    assert rendition_key(image.owner_id, image.id, other) != key(320, 320, "cover")
    assert all(map(is_rendered_on_demand, (key(320), key(320, 320, "cover"))))
    assert not any(map(is_rendered_on_demand, image.object_keys))


@pytest.mark.parametrize(
    "size, longest, expected",
    [((4000, 3000), 2048, True), ((4000, 3000), 2049, False), ((2048, 2000), 640, False)],
)
def test_only_large_images_have_a_preview(size: tuple[int, int], longest: int, expected: bool):  # noqa: FBT001
    assert uses_preview(image_of(*size), Output(longest, "webp")) is expected
