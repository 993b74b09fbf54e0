"""Tests of the names in an export that is continued by another attempt."""

from __future__ import annotations

from app.services.export_names import MemberNames
from tests.contracts.tables import make_image


def test_a_continued_export_has_no_name_twice():
    filenames = [
        "beach.jpg",
        "Beach.JPG",
        "a (2).jpg",
        "beach.jpg",
        "a.jpg",
        "a.jpg",
        "beach (2).jpg",
        "beach.jpg",
        "b",
    ]
    images = [make_image("ada", filename=filename) for filename in filenames]
    for interrupted_after in range(len(images)):
        names = MemberNames()
        first = [names.name_of(image) for image in images[:interrupted_after]]
        continued = MemberNames()
        for name in first:
            continued.reserve(name)
        rest = [continued.name_of(image) for image in images[interrupted_after:]]
        assert len({name.casefold() for name in first + rest}) == len(images)


def test_many_equal_filenames_are_numbered_onward():
    names = MemberNames()
    for number in range(2, 5000):
        names.reserve(f"images/beach ({number}).jpg")
    names.reserve("images/beach.jpg")
    assert names.name_of(make_image("ada", filename="beach.jpg")) == "images/beach (5000).jpg"
    # The numbers before it are not tried again for each name.
    assert names._used["beach.jpg"] == 5000
