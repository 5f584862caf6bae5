"""The head of the page of --report: when and with what it was made, and what became of the images."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from .html_text import shown

_TITLES: Final = {
    "date": "Date",
    "server": "Server",
    "model": "Model",
    "engine": "Engine",
    "images": "Images",
    "accuracy": "Accuracy",
}


def facts_of(model: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts `model` and `engine`, as far as a model says them (see `Pipeline.describe`)."""
    engine = " ".join(str(model[key]) for key in ("engine", "engine_version") if model.get(key))
    device = str(model.get("device") or "")
    facts = {"model": str(model.get("name") or ""), "engine": ", ".join(filter(None, (engine, device)))}
    return {word: text for word, text in facts.items() if text}


def head_facts(facts: Mapping[str, str]) -> str:
    """Return the list of what is known before the first image, the date of now first."""
    now = datetime.now().astimezone().isoformat(" ", "seconds")
    return f'<dl id="facts">\n{_rows({"date": now, **facts})}</dl>'


def end_facts(answered: int, failed: int, accuracy: Sequence[str]) -> str:
    """Return the list of what is known after the last image; the script moves it into the head.

    Args:
        answered: Images with a result.
        failed: Images without one.
        accuracy: Lines that say how many of the results are right; the first is shown.
    """
    images = f"{answered + failed}: {answered} answered, {failed} failed"
    facts = {"images": images}
    if accuracy:
        facts["accuracy"] = accuracy[0]
    return f'<dl id="totals">\n{_rows(facts)}</dl>\n'


def _rows(facts: Mapping[str, str]) -> str:
    return "".join(
        f'<div><dt data-word="{word}">{_TITLES[word]}</dt><dd>{shown(text)}</dd></div>\n'
        for word, text in facts.items()
    )
