from pathlib import Path

import pytest

from clas.commandline.trial.server import Connection, trial_server
from clas.errors import PredictionError, StartupError
from clas.protocol import files_body
from onnx_models import write_onnx_model
from served import image_file


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(repository))


def init_args(directory: Path) -> dict[str, object]:
    sizes = {"crop_size": 32, "resize_short": 32, "class_id_map_file": "", "mean": [0, 0, 0]}
    return {"inference_model_dir": str(directory), **sizes}


def test_a_server_is_started_asked_and_stopped(tmp_path: Path) -> None:
    with trial_server(init_args(write_onnx_model(tmp_path))) as server:
        assert server.wait_until_ready() > 0
        connection = Connection(server.port)
        assert connection.get("/")["model"]["format"] == "onnx"
        assert [found["class_ids"][0] for found in connection.predict(files_body([image_file(2)]))] == [2]
        with pytest.raises(PredictionError, match="the server answered HTTP 400: unknown field 'image'"):
            connection.predict(b'{"image": []}')
        connection.close()
    assert server.exit_status == 0
    with pytest.raises(PredictionError, match="the server gave no answer: ConnectionRefusedError"):
        Connection(server.port).get("/")


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with (
        trial_server(init_args(tmp_path / "nowhere")) as server,
        pytest.raises(
            StartupError, match=r"the server doesn't start: ModelNotFoundError: there is no model: "
        ),
    ):
        server.wait_until_ready()
    assert server.exit_status == 1
