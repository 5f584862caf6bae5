"""Reasons without the paths of this machine, for those who ask from outside."""

import re
from typing import Final

# A path that begins at the root or on a drive, up to its last part.
_PATH: Final = re.compile(
    r"(?<![\w.:/])(?:[A-Za-z]:)?[/\\](?:[^/\\\n:;,'\"]*[^/\\\s:;,'\"][/\\])*(?=[^/\\\s])"
)


def without_paths(text: str) -> str:
    """Return a message with the last part of each absolute path in its place."""
    return _PATH.sub("", text)
