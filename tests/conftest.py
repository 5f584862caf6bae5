import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import photograph
from tiny_models import hidden_number, write_model

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--minutes", type=float, help="how long chaos, overload and soak tests take (default: short)"
    )


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def default_model_dir() -> Path:
    """The exported EfficientNet-Lite0; `make test` makes it before the tests start."""
    directory = REPOSITORY / "clas" / "inference"
    assert (directory / "inference.pdmodel").is_file(), "run `make test`, which exports the model"
    return directory


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder in scikit-image's wheel that holds chelsea.png, coffee.png and rocket.jpg."""
    return photograph("chelsea.png").parent


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """[N, 3, 32, 32] -> 6 classes, of which an image's brightest channel decides."""
    return write_model(tmp_path_factory.mktemp("tiny"))


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
