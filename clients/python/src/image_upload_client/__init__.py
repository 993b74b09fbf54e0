"""A client of the image upload service: ImageClient, and AsyncImageClient for asyncio."""

from image_upload_client.aio import AsyncImageClient
from image_upload_client.client import ImageClient
from image_upload_client.errors import ImageServiceError
from image_upload_client.models import Account, Image, Job, Limits, Share, Timeline
from image_upload_client.operations import ImageChanges, ListOptions, ShareOptions
from image_upload_client.renditions import rendition_srcset, rendition_url
from image_upload_client.tokens import Tokens, TokenStore
from image_upload_client.uploads import UploadOptions

__all__ = [
    "Account",
    "AsyncImageClient",
    "Image",
    "ImageChanges",
    "ImageClient",
    "ImageServiceError",
    "Job",
    "Limits",
    "ListOptions",
    "Share",
    "ShareOptions",
    "Timeline",
    "TokenStore",
    "Tokens",
    "UploadOptions",
    "rendition_srcset",
    "rendition_url",
]
