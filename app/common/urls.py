"""Completes the URLs of objects."""

from __future__ import annotations


def absolute_url(base_url: str, url: str) -> str:
    """Return `url`, after `base_url` if it is relative, as are the URLs of a store whose objects the service serves.

    `base_url` must end with a slash, and a relative `url` must not begin with one. Unlike `urljoin`, it parses neither
    of them: a page of a list contains hundreds of URLs.
    """
    return url if url.startswith(("https://", "http://")) else base_url + url
