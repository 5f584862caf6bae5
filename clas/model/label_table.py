"""Label files that are tables: their header, and the column that has the names."""

import re
from collections.abc import Sequence
from typing import Final

_ID_HEADS: Final = frozenset(
    (
        *("id", "ids", "idx", "index", "no", "number", "key", "class", "label", "target", "#"),
        *("classid", "classindex", "classidx", "labelid", "labelindex", "labelidx", "categoryid"),
        *("编号", "序号", "索引", "类别", "标签", "类别编号", "类别序号", "类别索引", "类别id", "标签id"),
    )
)
_NAME_HEADS: Final = frozenset(
    (
        *("name", "names", "label", "labels", "class", "classes", "category", "description"),
        *("classname", "labelname", "categoryname"),
        *("名称", "名字", "类别", "标签", "类别名", "类别名称", "标签名", "标签名称"),
    )
)


def is_header(cells: Sequence[str]) -> bool:
    """Whether the first line of a file names columns of ids and of names, rather than a class."""
    heads = [_plain(cell) for cell in cells]
    known = sum(1 for head in heads if head in _ID_HEADS | _NAME_HEADS)
    return known > 1 and bool(_ID_HEADS & set(heads)) and bool(_NAME_HEADS & set(heads))


def choose_names(
    heads: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[str]
) -> list[str] | None:
    """Choose the names among the columns beside the ids.

    Args:
        heads: What the header calls these columns; empty without a header.
        rows: The cells of each row in these columns.
        texts: The same, before each was cut into cells.

    Returns:
        A name for each row; None if there are several columns, and nothing tells which one has the names.
    """
    widths = {len(row) for row in rows}
    if widths == {1}:
        return [row[0] for row in rows]
    if len(widths) != 1:  # no columns: some names have a comma
        return [row[0] if len(row) == 1 else text for row, text in zip(rows, texts, strict=True)]
    found = [i for i, head in enumerate(heads) if _plain(head) in _NAME_HEADS]
    if len(heads) != len(rows[0]) or len(found) != 1:
        return None
    return [row[found[0]] for row in rows]


def _plain(head: str) -> str:
    return re.sub(r"[\s_\-\"']", "", head).lower()
