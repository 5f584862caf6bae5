"""The web page: the files in ui/; and the security headers of any page."""

import mimetypes
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from .prefix import has_slash

UI_PATH: Final = "/ui"
ASSETS_PATH: Final = "/ui/assets"
ICON_PATH: Final = "/favicon.ico"
"""Where browsers look for the icon of an answer that isn't a page."""

_DIRECTORY: Final = Path(__file__).parent / "ui"
_ADDRESSES: Final = re.compile(r'\b(?:href|src)="')  # all of them are relative


def headers_under(policy: str) -> dict[str, str]:
    """Return the security headers of a page.

    Args:
        policy: Its Content-Security-Policy, but for what no page here needs.
    """
    return {
        "Content-Security-Policy": f"{policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
        "Cache-Control": "no-cache",  # revalidated by ETag each time: a new version shows at once
    }


# blob: is an image of the visitor's that is still in the browser.
_HEADERS: Final = headers_under(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "require-trusted-types-for 'script'"
)

# The registry of Windows may say text/plain, which browsers don't run.
mimetypes.add_type("text/javascript", ".js")


async def page(request: Request) -> Response:
    """The page; its addresses are relative, so that it works below any prefix of a proxy."""
    file = _DIRECTORY / "index.html"
    if has_slash(request.scope):
        return HTMLResponse(one_level_deeper(file.read_text(encoding="utf-8")), headers=_HEADERS)
    return FileResponse(file, headers=_HEADERS)


def one_level_deeper(html: str) -> str:
    """Return a page for an address with a slash behind it: relative addresses begin one level deeper."""
    return _ADDRESSES.sub(r"\g<0>../", html)


async def icon(_: Request) -> Response:
    """The page's icon."""
    return FileResponse(_DIRECTORY / "icon.svg", headers=_HEADERS)


def assets() -> "Assets":
    """Style, scripts and icon of the page."""
    return Assets(_DIRECTORY, _HEADERS)


class Assets(StaticFiles):
    """The files of a page, with its headers.

    Args:
        directory: Where they are.
        headers: The headers.
    """

    def __init__(self, directory: str | Path, headers: Mapping[str, str]) -> None:
        super().__init__(directory=directory)
        self._headers = headers

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return one of the files.

        Raises:
            HTTPException: There is no such file, or the method isn't allowed.
        """
        response = await super().get_response(path, scope)
        response.headers.update(self._headers)
        return response
