"""The page of the OpenAPI document: Swagger UI, from its package."""

import base64
import hashlib
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from swagger_ui_bundle import swagger_ui_path

from .prefix import has_slash
from .web_ui import Assets, headers_under, one_level_deeper

DOCS_PATH: Final = "/docs"
DOCS_ASSETS_PATH: Final = "/docs/assets"

# The colours are those chosen in /ui; last, since a browser that keeps nothing stops here.
_SCRIPT: Final = """
const page = document.querySelector("nav a").href;
SwaggerUIBundle({url: new URL("openapi.json", page).href, dom_id: "#ui", validatorUrl: null});
document.documentElement.dataset.theme = localStorage.getItem("clas_system_theme") ?? "auto";
"""
_PAGE: Final = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>clas_system</title>
<link rel="icon" href="ui/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
<link rel="stylesheet" href="ui/assets/docs.css">
</head>
<body>
<nav><a href="ui">← Image classification · <span lang="zh-CN">图像分类</span></a></nav>
<div id="ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script>{_SCRIPT}</script>
</body>
</html>
"""
_HASH: Final = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
# Swagger UI sets styles inline, and has its icons as data:; blob: is an answer to be saved.
_HEADERS: Final = headers_under(
    f"default-src 'none'; script-src 'self' 'sha256-{_HASH}'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'"
)


async def docs_page(request: Request) -> Response:
    """The page; its addresses are relative, so that it works below any prefix of a proxy."""
    html = one_level_deeper(_PAGE) if has_slash(request.scope) else _PAGE
    return HTMLResponse(html, headers=_HEADERS)


def docs_assets() -> Assets:
    """Style and scripts of the page."""
    return Assets(swagger_ui_path, _HEADERS)
