"""The page of a share, which works without scripts: the images, or a form for the password, or why there is nothing."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from string import Template
from urllib.parse import parse_qs

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.requests import Request
from starlette.routing import Route

from app.api.routes.shared import PRIVATE
from app.api.services import Services
from app.api.shared_links import SharedLinks
from app.domain.addresses import throttling_key
from app.domain.errors import AppError, ShareMissing, SharePasswordRequired
from app.domain.images import Image
from app.domain.shares import Share, ShareDownload
from app.services.shares import PAGE

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="robots" content="noindex, nofollow">
  <title>$title</title>
  $head
  <link rel="icon" href="${base}web/icon.svg">
  <link rel="stylesheet" href="${base}web/share/share.css">
</head>
<body>
  <main>
    <h1>$title</h1>
    $content
  </main>
</body>
</html>
""")
_PASSWORD_FORM = """<p class="note$kind">$message</p>
    <form method="post" action="$action">
      <label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="off" required autofocus>
      <button>Show the images</button>
    </form>"""
_WIDTHS = (320, 640, 1280)
_LARGE = 2560
_ROW_HEIGHT = 240
_MAX_PAGES = 100


def add_share_page(app: FastAPI) -> None:
    """Serve the pages that the URLs of shares lead to."""
    app.router.routes.append(Route("/s/{token}", _share_page, methods=["GET", "HEAD", "POST"], include_in_schema=False))


async def _share_page(request: Request) -> HTMLResponse:
    services: Services = request.app.state.services
    token, access = request.path_params["token"], request.query_params.get("access")
    try:
        if request.method == "POST":
            password = parse_qs((await request.body()).decode("utf-8", "replace")).get("password", [""])[0]
            address = throttling_key(request.client.host) if request.client else "unknown"
            share, access = await services.shares.unlock(token, password, address=address)
        else:
            share = await services.shares.open(token, access=access)
        return await _images_page(request, services, share, SharedLinks.of(request, token, access))
    except SharePasswordRequired as error:
        is_wrong = request.method == "POST"
        message = "This password is wrong. Try again." if is_wrong else "These images are protected by a password."
        action = escape(f"{request.base_url}s/{token}")
        form = Template(_PASSWORD_FORM).substitute(message=message, kind=" error" if is_wrong else "", action=action)
        return _html(request, services, "Shared images", form, status=error.status)
    except AppError as error:
        headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
        title = "This link shows nothing" if isinstance(error, ShareMissing) else error.title
        content = f'<p class="note">{escape(str(error))}</p>'
        return _html(request, services, title, content, status=error.status, headers=headers)


async def _images_page(request: Request, services: Services, share: Share, links: SharedLinks) -> HTMLResponse:
    number = request.query_params.get("page", "1")
    page = min(max(int(number), 1), _MAX_PAGES) if number.isascii() and number.isdecimal() else 1
    shown = await services.shares.images(share, page=page)
    may_download = share.download is not ShareDownload.NONE
    first, total = (page - 1) * PAGE + 1, len(share.image_ids)
    items = "\n".join(
        _item(image, links, name=image.description or f"Image {position} of {total}", may_download=may_download)
        for position, image in enumerate(shown.images, first)
    )
    note = f"{total} image{'' if total == 1 else 's'}"
    if share.expires_at:
        note += f", until {share.expires_at:%B} {share.expires_at.day}, {share.expires_at.year}"
    content = f'<p class="note">{note}</p>\n    <ul class="images">\n{items}\n    </ul>'
    if shown.has_more:
        content += f'\n    <nav><a href="{escape(links.page(page + 1))}">More images</a></nav>'
    # Without a password anyone may see what a preview of the link shows.
    preview = shown.images[0] if shown.images and not share.password_hash else None
    head = "\n  ".join(_open_graph(share, links, preview))
    return _html(request, services, share.title or "Shared images", content, head=head)


def _item(image: Image, links: SharedLinks, *, name: str, may_download: bool) -> str:
    srcset = ", ".join(f"{links.rendition(image, width=width)} {width}w" for width in _WIDTHS)
    width = round(_ROW_HEIGHT * image.width / image.height)
    download = f'<a href="{escape(links.download(image))}" download>Download</a>' if may_download else ""
    return (
        f'      <li><a href="{escape(links.rendition(image, width=_LARGE))}"><img src="'
        f'{escape(links.rendition(image, width=_WIDTHS[1]))}" srcset="{escape(srcset)}" '
        f'sizes="(max-width: 600px) 100vw, {width}px" width="{width}" height="{_ROW_HEIGHT}" '
        f'alt="{escape(name)}" loading="lazy" decoding="async"></a>{download}</li>'
    )


def _open_graph(share: Share, links: SharedLinks, preview: Image | None) -> Iterator[str]:
    """Yield the tags with which messengers show the link (https://ogp.me)."""
    if share.password_hash:
        return
    yield '<meta property="og:type" content="website">'
    yield f'<meta property="og:title" content="{escape(share.title or "Shared images")}">'
    if preview:
        url = escape(links.rendition(preview, width=_WIDTHS[-1], format_="jpeg"))
        yield f'<meta property="og:image" content="{url}">'
        yield '<meta name="twitter:card" content="summary_large_image">'


def _html(
    request: Request,
    services: Services,
    title: str,
    content: str,
    *,
    head: str = "",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> HTMLResponse:
    page = _PAGE.substitute(title=escape(title), head=head, base=escape(str(request.base_url)), content=content)
    store = " ".join(services.store_origins)
    policy = (
        f"default-src 'none'; style-src 'self'; img-src 'self' {store}; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    return HTMLResponse(page, status, {**PRIVATE, "Content-Security-Policy": policy, **(headers or {})})
