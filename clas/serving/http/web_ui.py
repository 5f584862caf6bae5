"""The web page: the files in ui/, and their security headers."""

import mimetypes
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

UI_PATH: Final = "/ui"
ASSETS_PATH: Final = "/ui/assets"

_DIRECTORY: Final = Path(__file__).parent / "ui"
# blob: is an image of the visitor's that is still in the browser.
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-cache",  # revalidated by ETag each time: a new version shows at once
}

# The registry of Windows may say text/plain, which browsers don't run.
mimetypes.add_type("text/javascript", ".js")


async def page(_: Request) -> Response:
    """The page; its addresses are relative, so that it works below any prefix of a proxy."""
    return FileResponse(_DIRECTORY / "index.html", headers=_HEADERS)


class Assets(StaticFiles):
    """Style, scripts and icon of the page."""

    def __init__(self) -> None:
        super().__init__(directory=_DIRECTORY)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return one of the files.

        Raises:
            HTTPException: There is no such file, or the method isn't allowed.
        """
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response
