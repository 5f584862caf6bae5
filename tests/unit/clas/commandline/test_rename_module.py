import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from clas.commandline import rename_module
from clas.commandline.cli import main
from clas.protocol import MODULE_NAME

pytestmark = pytest.mark.usefixtures("logger_as_it_was")

NAME = "garbage_system"
CODE = {".py", ".js", ".html"}


def files_of(directory: Path) -> dict[str, Path]:
    """Those of a package by their names in it, but for bytecode and the model."""
    paths = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
    return {name: path for name, path in paths.items() if not re.search(r"__pycache__|^inference/", name)}


def run_python(cwd: Path, path: Path, *arguments: object) -> str:
    """Run Python with one folder to import from beside `cwd`; return what it prints on stdout."""
    command = [sys.executable, "-W", "ignore", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(path)}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def moduleinfo_of(file: Path) -> dict[str, str]:
    """The facts of a module, as PaddleHub reads them."""
    [call] = [
        decorator
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
        for decorator in node.decorator_list
    ]
    assert isinstance(call, ast.Call)
    return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}


def model_dir_of(directory: Path) -> object:
    """What the params.py of a small package says."""
    [assigned] = ast.parse((directory / "params.py").read_text(encoding="utf-8")).body
    assert isinstance(assigned, ast.Assign)
    return ast.literal_eval(assigned.value)["Global"]["inference_model_dir"]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, repository: Path) -> Path:
    """This package under another name, with another model."""
    directory = tmp_path_factory.mktemp("rename") / "new" / "garbage"
    flags = ("--inference_model_dir", tiny_model)
    run_python(directory.parents[1], repository, "-m", "clas", "rename_module", directory, NAME, *flags)
    return directory


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small package with a model, in place of this one."""
    directory = tmp_path / "clas"
    (directory / "__pycache__").mkdir(parents=True)
    (directory / "inference").mkdir()
    (directory / "module.py").write_text('@moduleinfo(\n    name="clas_system",\n)\nclass C: ...\n')
    (directory / "config.json").write_text('{"modules_info": {"clas_system": {}}}')
    (directory / "params.py").write_text('PARAMS = {"Global": {"inference_model_dir": "../inference/"}}')
    (directory / "inference" / "config.json").write_text('"clas_system"')
    monkeypatch.setattr(rename_module, "MODULE_DIR", directory)
    monkeypatch.chdir(tmp_path)
    return directory


def test_paddlehub_finds_the_new_name_and_all_else_as_it_was(copy: Path, repository: Path) -> None:
    before = moduleinfo_of(repository / "clas" / "module.py")
    assert moduleinfo_of(copy / "module.py") == {**before, "name": NAME, "author": f"{NAME} developers"}
    config = json.loads((copy / "config.json").read_text())
    original = json.loads((repository / "config.json").read_text())
    [module] = original.pop("modules_info").values()
    assert config.pop("modules_info") == {NAME: module}
    assert config == original


def test_the_copy_has_every_file_and_the_old_name_nowhere(copy: Path, repository: Path) -> None:
    originals, copied = files_of(repository / "clas"), files_of(copy)
    assert copied.keys() == originals.keys()
    assert not list(copy.rglob("__pycache__"))
    assert not (copy / "inference").exists()
    renamed = 0
    for name, path in copied.items():
        content, original = path.read_bytes(), originals[name].read_bytes()
        if path.suffix in CODE or name == "config.json":
            assert not re.search(rb"\bclas_system\b", content), name
            renamed += content != original
        else:
            assert content == original, name
    assert renamed > 20


def test_nothing_is_left_beside_the_copy(copy: Path) -> None:
    assert [path.name for path in copy.parents[1].iterdir()] == ["new"]
    assert [path.name for path in copy.parent.iterdir()] == ["garbage"]


def test_what_to_type_names_the_folder_of_the_copy(copy: Path) -> None:
    first = (copy / "params.py").read_text(encoding="utf-8").splitlines()[0]
    assert f"run `hub uninstall {NAME}` and `hub install garbage/` again" in first
    assert "`python garbage/module.py [IMAGE ...]`" in (copy / "module.py").read_text(encoding="utf-8")


def test_the_copy_runs_with_its_model_under_its_name(copy: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Its command lines, its server's configuration, and its log."""
    cv2.imwrite(str(tmp_path / "green.png"), np.full((32, 32, 3), (0, 255, 0), np.uint8))
    flags = ("--resize_short", 32, "--crop_size", 32, "--class_id_map_file", "", "--format", "json")
    shown = run_python(tmp_path, copy.parent, "-m", "garbage", "green.png", *flags)
    assert json.loads(shown)["class_ids"][0] == 1
    config = json.loads((copy / "config.json").read_text())
    config["modules_info"][NAME]["init_args"]["use_gpu"] = False
    (tmp_path / "config.json").write_text(json.dumps(config))
    code = """
import json, sys
from garbage.commandline import cli, terminal
from garbage.protocol import MODULE_NAME, PREDICT_PATH
from garbage.serving.launch import plan_launch
settings = plan_launch({"config": "config.json"}).models[MODULE_NAME]
names = [cli._hub_parser().prog, terminal.LOGGER.name, PREDICT_PATH, settings.inference_model_dir]
print(json.dumps([*names, "clas" in sys.modules]))
"""
    found = json.loads(run_python(tmp_path, copy.parent, "-c", code))
    assert found == [f"hub run {NAME}", NAME, f"/predict/{NAME}", str(tiny_model.resolve()), False]


def test_a_copy_can_be_copied(copy: Path, tiny_model: Path, tmp_path: Path) -> None:
    command = ("-m", "garbage", "rename_module", "third", "third_system")
    shown = run_python(tmp_path, copy.parent, *command, "--inference_model_dir", tiny_model)
    assert shown.splitlines()[-1] == f"next: hub install third/ && hub serving start -m {NAME} third_system"
    assert moduleinfo_of(tmp_path / "third" / "module.py")["name"] == "third_system"


def test_without_another_model_that_of_the_package_is_copied_along(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("garbage").mkdir()  # an empty folder is as good as none
    assert main(["rename_module", "garbage/", NAME]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"made garbage: the module {NAME}, with a copy of the model in {package / 'inference'}",
        f"next: hub install garbage/ && hub serving start -m {MODULE_NAME} {NAME}",
    ]
    assert sorted(path.name for path in Path("garbage").iterdir()) == [
        *("config.json", "inference", "module.py", "params.py")
    ]
    assert Path("garbage/inference/config.json").read_text() == '"clas_system"'  # the model's own


def test_a_copy_without_a_model_says_where_to_put_one(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (package / "inference" / "config.json").unlink()
    (package / "inference").rmdir()
    model = "my garbage/bins/inference"
    assert main(["rename_module", "my garbage/bins", NAME]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"made my garbage/bins: the module {NAME}, with no model of its own: put one into {model}",
        f"next: hub install 'my garbage/bins'/ && hub serving start -m {MODULE_NAME} {NAME}",
    ]


@pytest.mark.parametrize("name", ["quote'd", 'double"d', "b\\o't\"h", "ünïcode", "line\nend"])
def test_any_path_of_a_model_is_written_as_python(package: Path, tmp_path: Path, name: str) -> None:
    model = tmp_path / name
    model.mkdir()
    (model / "inference.onnx").touch()
    assert main(["rename_module", "garbage", NAME, "--inference_model_dir", name]) == 0
    assert not Path("garbage/inference").exists()
    assert package.is_dir()
    assert model_dir_of(Path("garbage")) == str(model)
    other = tmp_path / "other"
    shutil.copytree(model, other)
    shutil.copy("garbage/params.py", package)  # as in a copy of the copy
    assert main(["rename_module", "third", "third_system", "--inference_model_dir", "other"]) == 0
    assert model_dir_of(Path("third")) == str(other)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("clas_system", "is the name of this module"),
        ("Clas_System", "is the name of this module"),
        ("garbage-system", "isn't a name for a module (letters, digits and underscores, a letter first)"),
        ("2nd", "isn't a name for a module"),
        ("__main__", "isn't a name for a module"),
        ("müll", "isn't a name for a module"),
        ("garbage\n", "isn't a name for a module"),
        ("", "isn't a name for a module"),
        ("class", "is a keyword of Python"),
        ("json", "is the name of a Python package"),
        ("numpy", "is the name of a Python package"),
        ("clas", "is the name of a Python package"),
        ("taken", "is the name of a Python package, or of a folder here"),
    ],
)
def test_a_name_that_cannot_be_a_module_of_its_own_is_refused_in_one_line(
    package: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    fault: str,
) -> None:
    monkeypatch.syspath_prepend(str(package.parent))  # as with python -m
    Path("taken").mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["rename_module", "garbage", name])
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"python -m clas rename_module: error: argument NAME: {name!r} {fault}")
    assert not Path("garbage").exists()


@pytest.mark.parametrize(
    ("directory", "message"),
    [
        ("full", "there is {here}/full already: name a new folder"),
        ("full/file", "there is {here}/full/file already: name a new folder"),
        ("clas/copy", "{here}/clas/copy is in the folder that is copied: name one outside {here}/clas"),
        ("full/file/deeper", "{here}/full/file/deeper can't be "),
        (NAME, f"the folder's name {NAME!r} is the module's name, and `hub run {NAME}` takes a folder of"),
        (
            "v1.2",
            "the folder's name 'v1.2' has other characters than letters, digits, - and _: choose another",
        ),
        ("json", "the folder's name 'json' is the name of a Python package, or of a folder here"),
        ("n" * 300, "{here}/" + "n" * 300 + " can't be "),
    ],
)
def test_a_folder_that_cannot_be_that_of_the_copy_is_refused_in_one_line(
    package: Path, capsys: pytest.CaptureFixture[str], directory: str, message: str
) -> None:
    Path("full").mkdir()
    Path("full/file").touch()
    before = sorted(package.parent.rglob("*"))
    assert main(["rename_module", directory, NAME]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"CRITICAL: SettingsError: {message.format(here=package.parent)}")
    assert sorted(package.parent.rglob("*")) == before


def test_a_folder_without_a_model_is_refused_before_anything_is_made(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    before = sorted(package.parent.rglob("*"))
    assert main(["rename_module", "garbage", NAME, "--inference_model_dir", "empty"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"CRITICAL: ModelNotFoundError: {tmp_path / 'empty'} holds no file")
    assert sorted(package.parent.rglob("*")) == before


def name_it_otherwise(package: Path) -> str:
    (package / "module.py").write_text('@moduleinfo(\n    name="mine",\n)\nclass C: ...\n')
    return f'{package / "module.py"} has no line name="clas_system" to change'


def leave_the_setting_out(package: Path) -> str:
    (package / "params.py").write_text("PARAMS = {}")
    return f'{package / "params.py"} has no line "inference_model_dir": "..." to change'


def link_to_nothing(package: Path) -> str:
    (package / "dangling").symlink_to("nowhere")
    return f"{package / 'dangling'} can't be copied: [Errno 2] No such file or directory"


@pytest.mark.parametrize("spoil", [name_it_otherwise, leave_the_setting_out, link_to_nothing])
def test_nothing_is_left_of_a_copy_that_fails(
    package: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], str]
) -> None:
    message = spoil(package)
    before = sorted(package.parent.rglob("*"))
    flags = ("--inference_model_dir", str(tiny_model))
    assert main(["rename_module", "new/garbage", NAME, *flags]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"CRITICAL: SettingsError: {message}")
    assert sorted(package.parent.rglob("*")) == before


def test_nothing_is_left_after_ctrl_c_or_of_a_full_disk(
    package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(package.parent.rglob("*"))
    for error, status, shown in (
        (KeyboardInterrupt(), 130, ""),
        (OSError(28, "No space left on device"), 1, "garbage can't be written: No space left on device\n"),
    ):

        def fail(*_: object, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(rename_module, "_rename", fail)
        assert main(["rename_module", "garbage", NAME]) == status
        assert capsys.readouterr().err.endswith(shown)
        assert sorted(package.parent.rglob("*")) == before
