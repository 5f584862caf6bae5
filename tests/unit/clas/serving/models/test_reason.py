from pathlib import Path

import pytest

from clas.errors import ClasError
from clas.model.exported import read_exported_model
from clas.serving.models.reason import without_paths
from served import settings_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/srv/models/rose holds no file inference.pdiparams", "rose holds no file inference.pdiparams"),
        ("can't read /srv/models/rose/inference.yml: it is empty", "can't read inference.yml: it is empty"),
        ("[Errno 2] No such file or directory: '/srv/a/b'", "[Errno 2] No such file or directory: 'b'"),
        ('"/srv/a/b" and "/srv/c/d"', '"b" and "d"'),
        ("/srv/my models/rose: damaged", "rose: damaged"),
        ("file:///srv/models/rose", "file:///srv/models/rose"),
        (r"C:\models\rose\inference.yml is invalid", "inference.yml is invalid"),
        ("D:/models/rose: damaged", "rose: damaged"),
        ("(/srv/models/rose)", "(rose)"),
        ("no directory /srv/models/rose, nor /opt/rose", "no directory rose, nor rose"),
        ("/srv/röse/модель", "модель"),
    ],
)
def test_an_absolute_path_is_replaced_by_its_last_part(text: str, shown: str) -> None:
    assert without_paths(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the model's files have changed since the start: restart, or reload",
        "inference_model_dir is ../inference/; see docs/en/models.md",
        "image/jpeg and/or image/png",
        "the model takes [N, 3, 224, 224] / float32",
        "1/255",
        "see https://www.paddlepaddle.org.cn/install",
    ],
)
def test_all_else_stays(text: str) -> None:
    assert without_paths(text) == text


@pytest.mark.parametrize("broken", ["nothing", "no weights", "bad configuration"])
def test_the_reasons_why_a_model_cannot_be_loaded_keep_their_sense(
    tiny_model: Path, tmp_path: Path, broken: str
) -> None:
    folder = tmp_path / "my models" / "rose"
    folder.mkdir(parents=True)
    if broken != "nothing":
        (folder / "inference.pdmodel").write_bytes(b"broken")
    if broken == "bad configuration":
        for file in tiny_model.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        (folder / "inference.yml").write_text("{")
    with pytest.raises(ClasError) as caught:
        read_exported_model(settings_of(folder))
    reason = str(caught.value)
    assert str(folder) in reason
    shown = reason.replace(str(folder / "inference.yml"), "inference.yml").replace(str(folder), "rose")
    assert without_paths(reason) == shown
