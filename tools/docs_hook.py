"""Hook of MkDocs: copies the files that pages link to; refuses what would load from elsewhere."""

import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority, get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_COPIES: Final = "files"
"""The site's folder for copies."""
_LINK: Final = re.compile(r"(\]\()((?:\.\./)+[^)\s#]+)")
_LOADING_TAGS: Final = {"script", "link", "img", "iframe", "source", "video", "audio", "object", "embed"}

_log = get_plugin_logger(__name__)


def linked_file(page_uri: str, link: str) -> str | None:
    """The path from the repository's root of what a page links to; None for another page."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page_uri), link))
    return None if re.match(r"docs/\w+/[^/]+\.md$", path) else path


def copy_uri(path: str) -> str:
    """Where the site has the copy of a file; Markdown becomes text, which browsers show."""
    return f"{_COPIES}/{path}" + (".txt" if path.endswith(".md") else "")


def loads_from_elsewhere(html: str) -> list[str]:
    """The addresses of other hosts from which a page would load something; plain links aren't among them."""
    parser = _Loads()
    parser.feed(html)
    return parser.found


@event_priority(-200)  # type: ignore[untyped-decorator]  # after i18n (-100), which makes a new list
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that pages link to and that aren't in their language's folder: configurations, images."""
    root = Path(config.docs_dir).parent
    for page in list(files.documentation_pages()):
        for _, link in _LINK.findall(page.content_string):
            path = linked_file(page.src_uri, link)
            if path and (root / path).is_file() and copy_uri(path) not in files.src_uris:
                files.append(File.generated(config, copy_uri(path), abs_src_path=str(root / path)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Point links to such files to their copies; MkDocs reports those that have none."""

    def to_copy(match: re.Match[str]) -> str:
        path = linked_file(page.file.src_uri, match[2])
        if path is None or copy_uri(path) not in files.src_uris:
            return match[0]
        return match[1] + posixpath.relpath(copy_uri(path), posixpath.dirname(page.file.src_uri))

    return _LINK.sub(to_copy, markdown)


def on_post_page(output: str, page: Page, **_: object) -> str:
    """Warn, which ends a strict build, if a page loads something from elsewhere."""
    _warn_of_loads(output, page.file.src_uri)
    return output


def on_post_template(output_content: str, template_name: str, **_: object) -> str:
    """Do the same for pages made from a template alone, such as 404.html."""
    _warn_of_loads(output_content, template_name)
    return output_content


def _warn_of_loads(html: str, name: str) -> None:
    for address in loads_from_elsewhere(html):
        _log.warning("%s loads %s: a page must load nothing from elsewhere", name, address)


class _Loads(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _LOADING_TAGS:
            values = [value for name, value in attrs if name in ("src", "href", "data", "poster") and value]
            self.found += [value for value in values if re.match(r"(https?:)?//", value)]
