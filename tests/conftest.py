import importlib.util
import logging
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest

from demo import photograph
from faces import FACES, LONGEST_FIRST
from tiny_models import HAS_PADDLE, hidden_number, write_model

# Two processes at once make the time of one example unreliable.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

REPOSITORY = Path(__file__).resolve().parent.parent
NOT_EVERYWHERE = {
    "paddle": [
        "engine/test_fork_safety.py",
        "engine/test_paddle.py",
        "engine/test_paddle_config.py",
        "model/test_inspection.py",
        "model/test_program.py",
        "model/test_program_proto.py",
        "model/test_signature.py",
        "serving/batching/test_predictor_process.py",
    ],
    "onnxruntime": ["engine/test_onnxruntime.py"],
    "paddlehub": ["test_module.py"],
    "ray": [
        "serving/on_ray/batch",
        *(
            f"serving/on_ray/test_{name}.py"
            for name in ("app", "deployed_models", "overview", "plan", "replica", "serve_file")
        ),
    ],
    "jsonschema_rs": ["serving/http/test_openapi.py"],
}
"""Libraries that a server's environment may lack (`make smoke`) -> the files in unit/clas that need them."""

collect_ignore = [
    f"unit/clas/{name}"
    for library, names in NOT_EVERYWHERE.items()
    if importlib.util.find_spec(library) is None
    for name in names
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--minutes", type=float, help="how long chaos, overload and soak tests take (default: short)"
    )
    parser.addoption(
        "--shuffle",
        type=int,
        metavar="SEED",
        help="random order, except that tests of one server stay together",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the longest groups, so that both processes of `-n 2` are at work to the end.

    And keep those of one server together: pytest itself does so only if all have the same list of parameters.
    """

    def rank(item: pytest.Item) -> tuple[int, int]:
        group = item.get_closest_marker("xdist_group")
        face = (
            item.callspec.params.get("service")
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else None
        )
        return (
            position(group.args[0] if group else None, LONGEST_FIRST),
            position(face, FACES),
        )

    def position(name: object, names: Sequence[str]) -> int:
        return names.index(name) if name in names else len(names)

    seed: int | None = config.getoption("--shuffle")
    if seed is not None:
        random.Random(seed).shuffle(items)  # noqa: S311  # no secret
    items.sort(key=rank)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def default_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported EfficientNet-Lite0; `make test` makes it before the tests start."""
    directory = REPOSITORY / "clas" / "inference"
    if not HAS_PADDLE:
        assert (directory / "inference.onnx").is_file(), "run `make smoke`, which exports the model"
        alone = tmp_path_factory.mktemp("default")
        shutil.copy(directory / "inference.onnx", alone)
        return alone
    assert (directory / "inference.pdmodel").is_file(), "run `make test`, which exports the model"
    return directory


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder in scikit-image's wheel that holds chelsea.png, coffee.png and rocket.jpg."""
    return photograph("chelsea.png").parent


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """[N, 3, 32, 32] -> 6 classes, of which an image's brightest channel decides; of ONNX without Paddle."""
    directory = tmp_path_factory.mktemp("tiny")
    if HAS_PADDLE:
        return write_model(directory)
    from onnx_models import write_onnx_model  # noqa: PLC0415  # the client's environment has no onnx

    return write_onnx_model(directory)


@pytest.fixture(scope="session")
def tiny_json_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in the format that Paddle 3 writes by default."""
    return write_model(tmp_path_factory.mktemp("tiny_json"), json=True)


@pytest.fixture(scope="session")
def numbering_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """[N, 3, 32, 32] -> 1000 classes, of which an image names its own; see `numbered_batch`."""
    return write_model(tmp_path_factory.mktemp("numbering"), hidden_number)


@pytest.fixture
def logger_as_it_was() -> Iterator[None]:
    """Take back what a program does to the log, so that other tests can see it in caplog."""
    names = ("clas_system", "uvicorn", "uvicorn.error", "gunicorn.error", "python_multipart")
    loggers = [logging.getLogger(name) for name in names]
    before = [(list(logger.handlers), logger.propagate, logger.level) for logger in loggers]
    yield
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        handler.close()
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
