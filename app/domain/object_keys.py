"""Keys of the object store: which ones are valid, and how the service names its objects."""

from __future__ import annotations

import re

from app.domain.formats import FORMATS_BY_CONTENT_TYPE
from app.domain.renderings import Output

IMAGES_PREFIX = "images/"
INCOMING_PREFIX = "incoming/"
"""Direct uploads that have not been completed."""
EXPORTS_PREFIX = "exports/"
DOWNLOADS_FOLDER = "downloads/"
"""Within the folder of an owner's exports, after the ids of all exports."""
_PREVIEW = "preview"
_RENDITION = "rendition-"

_CHARACTER = r"[A-Za-z0-9_.-]"
# 255 is the longest file name of common file systems, 1,024 the longest key of S3.
_PART = rf"(?!\.\.?(?:/|\Z)){_CHARACTER}{{1,255}}"
_KEY = re.compile(rf"{_PART}(?:/{_PART})*")
_PREFIX = re.compile(rf"(?:{_PART}/)*{_CHARACTER}{{0,255}}")
_MAX_LENGTH = 1024


def check_key(key: str) -> str:
    """Return `key`.

    Raises ValueError unless it consists of `/`-separated parts of letters, digits, `-`, `_` and `.`. Every object store
    checks its keys, so that no key can name something outside the store.
    """
    if len(key) > _MAX_LENGTH or not _KEY.fullmatch(key):
        raise ValueError(f"not a valid key: {key!r}")
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix`. Raises ValueError unless a valid key can begin with it; all keys begin with the empty one."""
    if len(prefix) > _MAX_LENGTH or not _PREFIX.fullmatch(prefix):
        raise ValueError(f"not the prefix of a valid key: {prefix!r}")
    return prefix


def image_folder(owner_id: str, image_id: str) -> str:
    """Return the prefix of all objects of one image."""
    return f"{IMAGES_PREFIX}{owner_id}/{image_id}/"


def original_key(owner_id: str, image_id: str, content_type: str) -> str:
    return f"{image_folder(owner_id, image_id)}original.{_extension(content_type)}"


def thumbnail_key(owner_id: str, image_id: str, size: int, content_type: str) -> str:
    return f"{image_folder(owner_id, image_id)}{size}.{_extension(content_type)}"


def sidecar_key(owner_id: str, image_id: str) -> str:
    """Return the key of the object that repeats the fields that only the record holds."""
    return f"{image_folder(owner_id, image_id)}metadata.json"


def preview_key(owner_id: str, image_id: str) -> str:
    """Return the key of the object from which smaller renditions are made. Its format depends on the image."""
    return f"{image_folder(owner_id, image_id)}{_PREVIEW}"


def rendition_key(owner_id: str, image_id: str, output: Output) -> str:
    """Return the key of a rendition, which contains everything that determines its content."""
    crop = output.crop
    cropped = f"-{crop.width}x{crop.height}-{crop.x}-{crop.y}" if crop else ""
    extension = _extension(f"image/{output.format}")
    return f"{image_folder(owner_id, image_id)}{_RENDITION}{output.longest}{cropped}.{extension}"


def shared_original_key(owner_id: str, image_id: str, content_type: str) -> str:
    """Return the key of a copy of the original without its position. It is kept like a rendition."""
    return f"{image_folder(owner_id, image_id)}{_RENDITION}without-location.{_extension(content_type)}"


def is_rendition_key(key: str) -> bool:
    return key.rpartition("/")[2].startswith(_RENDITION)


def is_rendered_on_demand(key: str) -> bool:
    """Return whether the object is a rendition or a preview: the records do not list these."""
    return is_rendition_key(key) or key.endswith(f"/{_PREVIEW}")


def incoming_key(owner_id: str, upload_id: str) -> str:
    """Return the key under which the file of a direct upload arrives."""
    return f"{INCOMING_PREFIX}{owner_id}/{upload_id}"


def parse_incoming_key(key: str) -> tuple[str, str] | None:
    """Return the owner's id and the upload's id of such a key. Return None for every other key."""
    match key.split("/"):
        case [prefix, owner_id, upload_id] if f"{prefix}/" == INCOMING_PREFIX and owner_id and upload_id:
            return owner_id, upload_id
    return None


def export_key(owner_id: str, job_id: str) -> str:
    """Return the key of the ZIP file that an export job makes."""
    return f"{EXPORTS_PREFIX}{owner_id}/{job_id}.zip"


def download_key(owner_id: str, job_id: str) -> str:
    """Return the key of the ZIP file that a download of selected images makes."""
    return f"{EXPORTS_PREFIX}{owner_id}/{DOWNLOADS_FOLDER}{job_id}.zip"


def selection_key(owner_id: str, job_id: str) -> str:
    """Return the key of the list of images that a download contains."""
    return f"{EXPORTS_PREFIX}{owner_id}/{DOWNLOADS_FOLDER}{job_id}.json"


def _extension(content_type: str) -> str:
    return FORMATS_BY_CONTENT_TYPE[content_type].extensions[0]
