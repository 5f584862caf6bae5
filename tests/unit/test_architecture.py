"""Holds the design: which way imports run, who imports the heavy packages, and what must be equal."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from clas.serving import VERSION

FOLDERS = ["image", "model", "engine", "output", "commandline", "serving"]


def modules_of(directory: Path) -> dict[str, ast.Module]:
    return {
        str(file.relative_to(directory).with_suffix("")): ast.parse(file.read_text())
        for file in sorted(directory.rglob("*.py"))
    }


def imported(tree: ast.Module) -> set[str]:
    """Names of the packages (with a leading dot: of the siblings) that are imported anywhere in a module."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            name = (node.module or "").partition(".")[0]
            names.add("." + name if node.level else name)
    return names


def test_every_folder_of_the_package_is_known(repository: Path) -> None:
    folders = {file.parent.name for file in (repository / "clas").glob("*/__init__.py")}
    assert folders == set(FOLDERS)


def test_the_server_is_the_topmost_layer_and_knows_neither_paddle_nor_paddlehub(repository: Path) -> None:
    for name, tree in modules_of(repository / "clas" / "serving").items():
        assert not imported(tree) & {"paddle", "paddlehub", "clas", "clas_system", ".module"}, name
    below = modules_of(repository / "clas").items()
    assert not any(".serving" in imported(tree) for name, tree in below if not name.startswith("serving"))


@pytest.mark.parametrize("name", ["clas.module", "clas.serving.cli", "clas.serving.process.supervisor"])
def test_only_the_app_for_ray_imports_ray(repository: Path, name: str) -> None:
    """As on a machine that has none."""
    code = f"import sys; sys.modules['ray'] = None; import {name}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    trees = modules_of(repository / "clas" / "serving")
    assert {name for name, tree in trees.items() if "ray" in imported(tree)} == {
        "on_ray/app",
        "on_ray/metrics",
    }


def test_both_faces_have_the_same_version(repository: Path) -> None:
    assert f'version="{VERSION}"' in (repository / "clas" / "module.py").read_text()


def test_paddle_and_paddlehub_are_imported_where_they_are_used(repository: Path) -> None:
    trees = modules_of(repository / "clas")
    paddle = {name for name, tree in trees.items() if "paddle" in imported(tree)}
    assert paddle == {"engine/paddle", "engine/paddle_config", "model/inspection"}
    assert {name for name, tree in trees.items() if "paddlehub" in imported(tree)} == {"module"}


def test_no_module_imports_an_http_library(repository: Path) -> None:
    for name, tree in modules_of(repository / "clas").items():
        if name.startswith("serving"):
            continue
        assert not imported(tree) & {"http", "requests", "flask", "urllib", "fastapi", "starlette"}, name


def test_the_client_imports_neither_paddle_nor_paddlehub(repository: Path) -> None:
    code = "import sys, test_hubserving; print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in ast.literal_eval(done.stdout)}
    assert {"clas", "clas_client", "requests", "tqdm"} <= loaded
    assert not loaded & {"paddle", "paddlehub", "PIL", "joblib", "flask"}


def test_imports_inside_the_package_are_relative(repository: Path) -> None:
    for name, tree in modules_of(repository / "clas").items():
        assert not imported(tree) & {"clas", "clas_system"}, name


def test_paddlehub_can_read_the_module_facts(repository: Path) -> None:
    """It looks for one class under the bare name `moduleinfo`, with literal arguments."""
    tree = ast.parse((repository / "clas" / "module.py").read_text())
    decorators = [
        (node.name, decorator)
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for decorator in node.decorator_list
    ]
    [(name, call)] = decorators
    assert name == "ClasSystem"
    assert isinstance(call, ast.Call)
    assert isinstance(call.func, ast.Name)
    assert call.func.id == "moduleinfo"
    facts = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert (facts["name"], facts["version"]) == ("clas_system", "1.0.0")


def test_the_package_file_is_empty(repository: Path) -> None:
    assert (repository / "clas" / "__init__.py").read_bytes() == b""


def test_both_configurations_are_equal_and_hold_the_originals_values(repository: Path) -> None:
    text = (repository / "config.json").read_bytes()
    assert (repository / "clas" / "config.json").read_bytes() == text
    assert json.loads(text) == {
        "modules_info": {
            "clas_system": {
                "init_args": {"version": "1.0.0", "use_gpu": True, "enable_mkldnn": False},
                "predict_args": {},
            }
        },
        "port": 8866,
        "use_multiprocess": False,
        "workers": 2,
    }


@pytest.mark.parametrize("directory", ["clas", "clas_client"])
def test_no_user_input_is_checked_by_assert(repository: Path, directory: str) -> None:
    for name, tree in modules_of(repository / directory).items():
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree)), name


@pytest.mark.parametrize("set_name", ["hub", "client", "dev", "hub-gpu-2.6", "serving", "ray"])
def test_a_pinned_set_pins_everything_and_names_its_command(repository: Path, set_name: str) -> None:
    text = (repository / "constraints" / f"{set_name}.txt").read_text()
    assert "uv pip compile --" in text
    assert f"{set_name}.in -o {set_name}.txt" in text
    requirements = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert len(requirements) > 5
    assert all("==" in line for line in requirements)
