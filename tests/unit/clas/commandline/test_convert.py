import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from clas.commandline import convert
from clas.commandline.cli import main
from clas.commandline.trial.images import TrialImages
from clas.commandline.trial.process import run_in_process
from clas.commandline.trial.runs import answers_of
from clas.model.files import find_model
from clas.model.program import read_program
from clas.settings import load_settings
from onnx_models import write_onnx_model
from tiny_models import config_naming, features_and_scores, write_model

pytest.importorskip("onnxruntime")  # isn't in every environment

pytestmark = pytest.mark.usefixtures("logger_as_it_was")

SIZES = ["--crop_size", "32", "--resize_short", "32"]
CONFIG = config_naming("names/labels.txt")
NO_PIP = """
import os, sys

def hook(event, args):
    if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        record(str(args))
        if "pip" in str(args):
            raise RuntimeError("pip was started")

def record(text):
    with open(os.environ["SEEN"], "a") as file:
        file.write(text + "\\n")

record("started")
sys.addaudithook(hook)
"""


def files_in(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("json", [False, True])
def test_both_formats_become_an_onnx_model_that_answers_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], json: bool
) -> None:
    directory = write_model(tmp_path / "model", json=json)
    before = files_in(directory)
    assert main(["convert", str(directory), *SIZES]) == 0
    out = capsys.readouterr().out
    assert "onnxruntime " in out
    assert "openvino " in out
    assert (
        f"made {directory / 'inference.onnx'}: 0.0 MB, from inference.{'json' if json else 'pdmodel'}\n"
        in out
    )
    assert files_in(directory).keys() - before.keys() == {"inference.onnx"}
    settings = {"inference_model_dir": str(directory), "crop_size": 32, "resize_short": 32}
    scores = [
        answers_of(load_settings({**settings, "engine": engine}), TrialImages((), 5)).scores
        for engine in ("paddle", "onnxruntime")
    ]
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-6)


def test_no_package_is_installed(tmp_path: Path, repository: Path) -> None:
    """What paddle2onnx does by default."""
    (tmp_path / "sitecustomize.py").write_text(NO_PIP)
    directory, seen = write_model(tmp_path / "model"), tmp_path / "seen"
    path = os.pathsep.join([str(tmp_path), str(repository)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "clas", "convert", str(directory), *SIZES],
        env={**os.environ, "PYTHONPATH": path, "SEEN": str(seen)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = seen.read_text().splitlines()
    assert lines.count("started") >= 5  # the command, the converter, and three engines
    assert not [line for line in lines if "pip" in line]


def test_another_folder_gets_the_files_that_belong_to_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, output = write_model(tmp_path / "model"), tmp_path / "new" / "model"
    (directory / "inference.yml").write_text(CONFIG)
    (directory / "names").mkdir()
    (directory / "names" / "labels.txt").write_text("".join(f"{number} name\n" for number in range(6)))
    before = files_in(directory)
    assert main(["convert", str(directory), "--output", str(output)]) == 0
    assert "; copied along: inference.yml, names/labels.txt\n" in capsys.readouterr().out
    assert files_in(directory) == before
    new = files_in(output)
    assert new.keys() == {"inference.onnx", "inference.yml", "names/labels.txt"}
    assert new["inference.yml"] == before["inference.yml"]
    assert new["names/labels.txt"] == before["names/labels.txt"]


def test_a_label_file_that_is_missing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory, output = write_model(tmp_path / "model"), tmp_path / "new"
    (directory / "inference.yml").write_text(CONFIG)
    assert main(["convert", str(directory), "--output", str(output)]) == 0
    assert "WARNING: the label file isn't copied: there is no label file" in capsys.readouterr().err
    assert files_in(output).keys() == {"inference.onnx", "inference.yml"}


def test_outputs_keep_their_names(tmp_path: Path) -> None:
    """`output_name` means the same for all formats."""
    directory = write_model(tmp_path, features_and_scores)
    settings = {"inference_model_dir": str(directory), "crop_size": 32, "resize_short": 32}
    assert main(["convert", str(directory), *SIZES]) == 1  # which of them has the scores?
    names = [output.name for output in read_program(find_model(load_settings(settings))[0]).outputs]
    assert main(["convert", str(directory), *SIZES, "--output_name", names[1]]) == 0
    assert [output.name for output in onnx.load(directory / "inference.onnx").graph.output] == names


@pytest.mark.parametrize("name", ["inference.onnx", "inference.yml"])
def test_a_file_of_the_users_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    directory, output = write_model(tmp_path / "model"), tmp_path / "new"
    (directory / "inference.yml").write_text(CONFIG)
    output.mkdir()
    (output / name).write_text("mine")
    assert main(["convert", str(directory), "--output", str(output)]) == 1
    assert (
        f"CRITICAL: SettingsError: there is a file {output / name}: move it away" in capsys.readouterr().err
    )
    assert files_in(output) == {name: b"mine"}


def test_a_new_model_that_answers_otherwise_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, output = write_model(tmp_path / "model"), tmp_path / "new" / "model"
    (directory / "inference.yml").write_text(CONFIG)
    other = write_onnx_model(tmp_path / "other", gain=-10) / "inference.onnx"

    def exchange(_: object, target: Path) -> None:
        shutil.copy(other, target)

    monkeypatch.setattr(convert, "export_onnx", exchange)
    monkeypatch.setattr(
        convert,
        "run_in_process",
        lambda function, *args: function(*args) if function is exchange else run_in_process(function, *args),
    )
    assert main(["convert", str(directory), "--output", str(output)]) == 1
    err = capsys.readouterr().err
    assert (
        "CRITICAL: PredictionError: the new model doesn't answer as the old one does, and isn't kept: " in err
    )
    assert not output.parent.exists()
    assert main(["convert", str(directory)]) == 1
    assert sorted(files_in(directory)) == ["inference.pdiparams", "inference.pdmodel", "inference.yml"]


def test_a_model_that_can_not_be_converted_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = write_model(tmp_path / "model", json=True)
    (directory / "inference.json").write_text('{"program": {}}')
    before = files_in(directory)
    assert main(["convert", str(directory), *SIZES]) == 1
    err = capsys.readouterr().err
    assert err.startswith("CRITICAL: ")
    assert err.count("\n") == 1
    assert files_in(directory) == before


def test_onnx_alone_can_not_be_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = write_onnx_model(tmp_path)
    assert main(["convert", str(directory)]) == 1
    assert "ModelLoadError: " in (err := capsys.readouterr().err)
    assert f"{directory} holds inference.onnx only; there is nothing to convert" in err


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (("paddle2onnx", "paddle"), "paddle2onnx, paddle"),
        (("onnxruntime", "openvino"), "onnxruntime or openvino"),
    ],
)
def test_what_is_missing_is_named_with_the_set_that_has_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    missing: tuple[str, ...],
    named: str,
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else real(name))
    assert main(["convert", str(tmp_path)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"CRITICAL: DeviceError: convert needs {named}: make an environment of its own, ")
    assert line.endswith(".venv-convert/bin/pip install --no-deps -r constraints/convert.txt")


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    output = tmp_path / "file" / "model"
    directory = write_model(tmp_path / "model")
    assert main(["convert", str(directory), *SIZES, "--output", str(output)]) == 1
    assert f"SettingsError: {output} can't be written: Not a directory\n" in capsys.readouterr().err
