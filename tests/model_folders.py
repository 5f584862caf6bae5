"""Folders of models whose content changes while a server runs."""

import shutil
from pathlib import Path


def put_model(folder: Path, source: Path) -> Path:
    """Put a copy of a model into a folder in place of what is there; returns the folder."""
    empty_folder(folder)
    for file in source.iterdir():
        shutil.copyfile(file, folder / file.name)
    return folder


def put_broken(folder: Path) -> Path:
    """Put what can't be loaded into a folder in place of what is there; returns the folder."""
    empty_folder(folder)
    for name in ("inference.pdmodel", "inference.pdiparams"):
        (folder / name).write_bytes(b"broken")
    return folder


def empty_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
