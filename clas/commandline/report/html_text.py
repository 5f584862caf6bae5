"""Foreign texts and tables in a page."""

import html
import json
from collections.abc import Sequence

from ..cells import visible


def shown(text: str) -> str:
    """Return a foreign text for HTML; characters that are invisible, or not in UTF-8, become escapes."""
    return html.escape(visible(text))


def json_attribute(value: object) -> str:
    """Return a value as JSON for an attribute, which the script reads."""
    return html.escape(json.dumps(value))


def table_heads(*heads: tuple[str, str]) -> str:
    """Return the head row of a table.

    Args:
        heads: The word by which the script translates a head, and its English text.
    """
    cells = "".join(f'<th scope="col" data-text="{word}">{text}</th>' for word, text in heads)
    return f"<tr>{cells}</tr>\n"


def table_row(cells: Sequence[str]) -> str:
    """Return a row of a table; the cells are HTML."""
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>\n"
