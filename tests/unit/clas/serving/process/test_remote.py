import os
from pathlib import Path

import pytest

from clas.errors import UnavailableError
from clas.serving.process.local_socket import ask
from clas.serving.process.pidfile import RunningServer
from clas.serving.process.remote import answering, describe, reload
from local_server import local_server, running_at
from model_folders import put_broken, put_model

WHERE = f"127.0.0.1:8866  process {os.getpid()}"


def versions_of(server: RunningServer) -> dict[str, str]:
    _, front = ask(server, "GET", "/", 10)
    return {model["name"]: model["version"] for model in front["models"]}


def unload(server: RunningServer, name: str) -> None:
    assert ask(server, "POST", f"/v2/repository/models/{name}/unload", 10)[0] == 200


def test_a_server_is_described_with_its_models(flowers: Path, tmp_path: Path) -> None:
    put_broken(flowers / "water-lily")
    with local_server(tmp_path, flowers) as server:
        versions = versions_of(server)
        unload(server, "lily")
        where, lily, rose, broken = describe(server)
        assert (where, lily) == (WHERE, "  /predict/lily        unloaded")
        assert rose == f"  /predict/rose        ready  {versions['rose']}"
        assert broken.startswith("  /predict/water-lily  unavailable  ")
        assert str(flowers) not in broken
        assert answering(server) == ["rose"]


def test_models_that_are_not_in_memory_answer_when_they_are_asked(flowers: Path, tmp_path: Path) -> None:
    with local_server(tmp_path, flowers, max_loaded_models=1) as server:
        assert list(describe(server))[2] == "  /predict/rose  idle"
        assert answering(server) == ["lily", "rose"]


def test_a_server_that_cannot_be_asked_is_described_with_the_reason(tmp_path: Path) -> None:
    server = running_at(tmp_path)
    where, reason = describe(server)
    assert where == WHERE
    assert reason.startswith(f"  process {os.getpid()} can't be asked: ")
    assert answering(server) == []
    with pytest.raises(UnavailableError, match="can't be asked"):
        list(reload(server, []))


def test_all_models_that_serve_are_loaded_again(
    flowers: Path, tmp_path: Path, exchanged_model: Path, tiny_model: Path
) -> None:
    put_model(flowers / "iris", tiny_model)
    with local_server(tmp_path, flowers) as server:
        unload(server, "iris")
        put_model(flowers / "rose", exchanged_model)
        told = list(reload(server, []))
        versions = versions_of(server)
        assert told == [(True, f"{name}: version {versions[name]} serves") for name in ("lily", "rose")]
        assert versions["lily"] == versions["rose"]
        assert versions["iris"] == ""


def test_a_model_that_is_named_is_loaded_whatever_it_was(
    flowers: Path, tmp_path: Path, tiny_model: Path
) -> None:
    with local_server(tmp_path, flowers) as server:
        unload(server, "rose")
        put_model(flowers / "iris", tiny_model)
        told = list(reload(server, ["rose", "iris"]))
        versions = versions_of(server)
        assert told == [(True, f"{name}: version {versions[name]} serves") for name in ("rose", "iris")]


def test_each_model_that_cannot_be_loaded_is_told_and_the_others_are_loaded(
    flowers: Path, tmp_path: Path
) -> None:
    with local_server(tmp_path, flowers) as server:
        put_broken(flowers / "lily")
        told = list(reload(server, ["lily", "none", "rose"]))
        assert [is_loaded for is_loaded, _ in told] == [False, False, True]
        assert told[0][1].startswith("lily: the model lily can't be loaded: ")
        assert told[1][1] == "none: there is no model 'none' in the repository"


@pytest.mark.parametrize("name", ["a/b", "a b", "ä", "a?b", "a#b", "..", "a\nb"])
def test_what_cannot_be_the_name_of_a_model_is_told_too(flowers: Path, tmp_path: Path, name: str) -> None:
    with local_server(tmp_path, flowers) as server:
        [(is_loaded, sentence), (is_next_loaded, _)] = reload(server, [name, "rose"])
        assert not is_loaded
        assert sentence.startswith(f"{name}: ")
        assert is_next_loaded
