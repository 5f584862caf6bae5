"""Holds the design: which way imports run, who imports the heavy packages, and what must be equal."""

import ast
import configparser
import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clas.protocol import MODULE_NAME, PREDICT_PATH, VERSION

Rows = list[list[set[str]]]

CLAS: Rows = [
    [
        {"errors", "fields", "result_values", "result_settings", "settings"}
        | {"protocol", "allocator", "params", "original_params"}
    ],
    [{"image"}],
    [{"model"}, {"preprocess"}],
    [{"engine"}, {"output"}],
    [{"pipeline"}],
    [{"classifier"}],
    [{"commandline"}],
    [{"module"}, {"serving"}, {"__main__"}],
]
"""The rooms of clas/, the lowest first: each imports from itself and from earlier rows only."""
SERVING: Rows = [
    [{"options", "web_options", "log", "metrics"}],
    [{"configuration"}, {"batching"}],
    [{"models"}],
    [{"http"}, {"launch"}],
    [{"service"}],
    [{"process"}, {"on_ray"}],
    [{"start"}, {"ray_app"}],
    [{"cli"}],
    [{"__main__"}],
]
"""The same of clas/serving/."""
CLIENTS: set[str] = {
    "errors",
    "fields",
    "settings",
    "protocol",
    "allocator",
    "image",
    "output",
    "commandline",
}
"""What the client shares with the server."""

CLIENTS_OF_OUR_OWN = {
    "clas.commandline.trial.server",  # asks a server that it starts
    "clas.serving.process.health",  # asks servers of this user
    "clas.serving.process.local_socket",  # asks servers of this user, at their own sockets
    "clas.serving.process.remote",
}

RUNTIMES = {"paddle", "openvino", "onnxruntime"}
SERVERS = {"flask", "fastapi", "starlette", "uvicorn", "gunicorn", "uvicorn_worker", "ray"}
WITHOUT_EITHER = ("image", "model", "output", "protocol", "preprocess")


def modules_of(repository: Path, package: str) -> dict[str, ast.Module]:
    """Dotted name of each module of a package -> its tree; a package has the name of its folder."""
    trees: dict[str, ast.Module] = {}
    for file in sorted((repository / package).rglob("*.py")):
        parts = file.relative_to(repository).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(file.read_text(encoding="utf-8"))
    return trees


def imported(tree: ast.Module) -> set[str]:
    """The top-level names of the packages that are imported by name anywhere in a module."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    return names


def targets(name: str, trees: dict[str, ast.Module], repository: Path) -> Iterator[str]:
    """The modules among `trees` that module `name` imports."""
    is_package = (repository / Path(*name.split(".")) / "__init__.py").is_file()
    package = name.split(".") if is_package else name.split(".")[:-1]
    for node in ast.walk(trees[name]):
        found: list[str] = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            # `from . import x` imports the module x, if there is one.
            found = [
                inner if (inner := f"{source}.{alias.name}") in trees else source for alias in node.names
            ]
        yield from (target for target in found if target in trees and target != name)


def room_of(name: str, root: str) -> str:
    """The first part of a module's name below `root`; empty for the package itself."""
    return name.removeprefix(root).lstrip(".").partition(".")[0]


@pytest.mark.parametrize(("root", "rows"), [("clas", CLAS), ("clas.serving", SERVING)])
def test_imports_run_one_way(repository: Path, root: str, rows: Rows) -> None:
    trees = modules_of(repository, "clas")
    inside = {name for name in trees if name.startswith(f"{root}.")}
    rooms = {room_of(name, root) for name in inside} - {"inference"}
    assert rooms == set().union(*(room for row in rows for room in row)), (
        "a room without its place, or the reverse"
    )
    for number, row in enumerate(rows):
        earlier: set[str] = set().union(*(room for earlier_row in rows[:number] for room in earlier_row))
        for room in row:
            for name in inside:
                if room_of(name, root) in room:
                    used = {
                        room_of(target, root)
                        for target in targets(name, trees, repository)
                        if target in inside
                    }
                    assert used <= earlier | room, name


@pytest.mark.parametrize("package", ["clas", "clas_client"])
def test_no_module_imports_itself_by_a_detour(repository: Path, package: str) -> None:
    trees = modules_of(repository, package)
    left = {name: set(targets(name, trees, repository)) for name in trees}
    while free := {name for name, wanted in left.items() if not wanted & left.keys()}:
        left = {name: wanted for name, wanted in left.items() if name not in free}
    assert not left


def test_the_server_is_used_by_nothing_below_it(repository: Path) -> None:
    trees = modules_of(repository, "clas")
    for name in trees:
        if not name.startswith("clas.serving"):
            assert not any(t.startswith("clas.serving") for t in targets(name, trees, repository)), name


def test_the_client_shares_the_vocabulary_and_what_belongs_to_images(repository: Path) -> None:
    trees = {**modules_of(repository, "clas"), **modules_of(repository, "clas_client")}
    for name in trees:
        used = {room_of(t, "clas") for t in targets(name, trees, repository) if t.startswith("clas.")}
        if name.startswith("clas_client"):
            assert used <= CLIENTS, name
        else:
            assert not any(t.startswith("clas_client") for t in targets(name, trees, repository)), name


def test_each_runtime_and_paddlehub_have_their_place(repository: Path) -> None:
    for name, tree in modules_of(repository, "clas").items():
        assert not imported(tree) & RUNTIMES or name.startswith("clas.engine."), name
        assert "paddlehub" not in imported(tree) or name == "clas.module", name
        assert "ray" not in imported(tree) or name.startswith("clas.serving.on_ray."), name
        assert not imported(tree) & SERVERS or name.startswith("clas.serving."), name
        assert name in CLIENTS_OF_OUR_OWN or not imported(tree) & {"http", "requests", "urllib"}, name
    for name, tree in modules_of(repository, "clas_client").items():
        assert not imported(tree) & {*RUNTIMES, *SERVERS, "paddlehub"}, name


def run_without(libraries: set[str], statement: str, repository: Path) -> str:
    """Run a statement as on a machine that lacks these libraries; return what it prints."""
    block = "".join(f"sys.modules[{name!r}] = None; " for name in sorted(libraries))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import sys; {block}{statement}"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_client_and_server_share_runs_without_runtime_paddlehub_and_server(repository: Path) -> None:
    names = [
        name
        for name in modules_of(repository, "clas")
        if room_of(name, "clas") in WITHOUT_EITHER or name == "clas.engine.base"
    ]
    assert len(names) > 10
    run_without({*RUNTIMES, *SERVERS, "paddlehub"}, f"import {', '.join(names)}", repository)


@pytest.mark.parametrize(
    "name", ["clas.serving.cli", "clas.serving.process.supervisor", "clas.classifier", "clas.commandline.cli"]
)
def test_a_runtime_is_imported_when_it_is_used(repository: Path, name: str) -> None:
    run_without({*RUNTIMES, "paddlehub", "ray"}, f"import {name}", repository)


def test_the_module_needs_neither_ray_nor_a_server_of_ours(repository: Path) -> None:
    run_without({"ray", "gunicorn", "msgspec", "prometheus_client"}, "import clas.module", repository)


def test_the_client_imports_neither_paddle_nor_paddlehub(repository: Path) -> None:
    shown = run_without(set(), "import test_hubserving; print(sorted(sys.modules))", repository)
    loaded = {name.partition(".")[0] for name in ast.literal_eval(shown)}
    assert {"clas", "clas_client", "requests", "tqdm"} <= loaded
    assert not loaded & {*RUNTIMES, *SERVERS, "paddlehub", "PIL", "joblib"}


def test_imports_inside_the_package_are_relative(repository: Path) -> None:
    """Installed by PaddleHub, it is called clas_system."""
    for name, tree in modules_of(repository, "clas").items():
        assert not imported(tree) & {"clas", "clas_system"}, name


def test_no_folder_or_module_bears_the_name_of_a_library(repository: Path) -> None:
    """`python clas/module.py` has clas/ first on its path."""
    libraries = {*importlib.metadata.packages_distributions(), *sys.stdlib_module_names}
    names = {path.stem for path in (repository / "clas").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not {name for name in names if not name.startswith("_")} & libraries


@pytest.mark.parametrize("package", ["clas", "clas_client"])
def test_the_unit_tests_mirror_the_tree(repository: Path, package: str) -> None:
    unit = repository / "tests" / "unit"
    for file in (unit / package).rglob("test_*.py"):
        tested = repository / file.relative_to(unit).with_name(file.name.removeprefix("test_"))
        assert tested.is_file(), file


def texts(tree: ast.Module) -> Iterator[str]:
    """All texts of a module, also parts of f-strings, but no docstrings."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def test_the_address_of_predictions_is_said_once(repository: Path) -> None:
    assert PREDICT_PATH == f"/predict/{MODULE_NAME}" == "/predict/clas_system"
    trees = {**modules_of(repository, "clas"), **modules_of(repository, "clas_client")}
    trees["test_hubserving"] = ast.parse((repository / "test_hubserving.py").read_text(encoding="utf-8"))
    said = {
        name
        for name, tree in trees.items()
        if any(
            re.search(r"/predict\b", text) and " " not in text  # not the prose of messages
            for text in texts(tree)
        )
    }
    assert said == {"clas.protocol"}


def test_the_version_is_the_same_everywhere(repository: Path) -> None:
    assert f'version="{VERSION}"' in (repository / "clas" / "module.py").read_text(encoding="utf-8")
    setup = configparser.ConfigParser()
    setup.read(repository / "setup.cfg")
    assert setup["metadata"]["version"] == "attr: clas.protocol.VERSION"
    config = json.loads((repository / "config.json").read_text(encoding="utf-8"))
    assert config["modules_info"][MODULE_NAME]["init_args"]["version"] == VERSION
    trees = modules_of(repository, "clas")
    assert {name for name, tree in trees.items() if VERSION in texts(tree)} == {
        "clas.protocol",
        "clas.module",
    }


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
    assert (facts["name"], facts["version"]) == (MODULE_NAME, VERSION)


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
    for name, tree in modules_of(repository, directory).items():
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree)), name


@pytest.mark.parametrize(
    "set_name",
    [
        "hub",
        "client",
        "dev",
        "hub-gpu-2.6",
        "serving",
        "serving-paddle",
        "serving-gpu",
        "export",
        "smoke",
        "ray",
        "docs",
        "convert",
    ],
)
def test_a_pinned_set_pins_everything_and_names_its_command(repository: Path, set_name: str) -> None:
    text = (repository / "constraints" / f"{set_name}.txt").read_text()
    assert "uv pip compile --" in text
    assert f"{set_name}.in -o {set_name}.txt" in text
    lines = (line.lstrip() for line in text.splitlines())
    requirements = [line for line in lines if line and not line.startswith(("#", "--only-binary "))]
    assert len(requirements) > 5
    assert all("==" in line for line in requirements)
