import logging
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest

from demo import photograph
from faces import FACES, LONGEST_FIRST

# Two processes at once make the time of one example unreliable.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

REPOSITORY = Path(__file__).resolve().parent.parent


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
    import tiny_models  # noqa: PLC0415  # the client's environment has no Paddle

    return tiny_models.write_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_json_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same in the format that Paddle 3 writes by default."""
    import tiny_models  # noqa: PLC0415

    return tiny_models.write_model(tmp_path_factory.mktemp("tiny_json"), json=True)


@pytest.fixture(scope="session")
def numbering_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """[N, 3, 32, 32] -> 1000 classes, of which an image names its own; see `numbered_batch`."""
    import tiny_models  # noqa: PLC0415

    return tiny_models.write_model(tmp_path_factory.mktemp("numbering"), tiny_models.hidden_number)


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
