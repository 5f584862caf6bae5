import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clas.classifier import Classifier
from clas.commandline.cli import main
from clas.engine.paddle import PaddleEngine
from clas.errors import ClasError, EncryptedModelError
from clas.model.exported import read_exported_model
from clas.serving.batching.runner import open_runner
from clas.serving.options import ServerOptions
from clas.settings import Settings, load_settings
from engines import run_in_fork
from onnx_models import write_onnx_model
from tiny_models import config_naming, needs_paddle, solid_batch, write_model

pytest.importorskip("cryptography")  # isn't in every environment

pytestmark = pytest.mark.usefixtures("logger_as_it_was")

CONFIG = config_naming("labels.txt")
LABELS = "0 secret red\n1 secret green\n2 secret blue\n3 d\n4 e\n5 f\n"
KINDS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "openvino pdmodel": ("openvino", write_model),
    "openvino onnx": ("openvino", write_onnx_model),
    "paddle pdmodel": ("paddle", write_model),
    "paddle json": ("paddle", lambda directory: write_model(directory, json=True)),
    "onnxruntime onnx": ("onnxruntime", write_onnx_model),
}


def with_labels(directory: Path) -> Path:
    (directory / "inference.yml").write_text(CONFIG)
    (directory / "labels.txt").write_text(LABELS)
    return directory


def encrypt(directory: Path, output: Path, *flags: str) -> int:
    key_file = output.parent / "key"
    return main(["encrypt", str(directory), "--output", str(output), "--key_file", str(key_file), *flags])


def settings_for(directory: Path, **more: object) -> Settings:
    return load_settings({"inference_model_dir": str(directory), "cpu_num_threads": 1, **more})


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Settings, Settings]:
    """The settings of a model, and of the same encrypted."""
    engine, write = KINDS[request.param]
    pytest.importorskip(engine)
    plain = with_labels(write(tmp_path / "plain"))
    assert encrypt(plain, tmp_path / "sealed", "--generate_key") == 0
    sealed = settings_for(tmp_path / "sealed", engine=engine, model_key_file=str(tmp_path / "key"))
    return settings_for(plain, engine=engine), sealed


def answers(settings: Settings) -> list[Any]:
    return list(Classifier(settings).classify(solid_batch(2, 0, 1)))


def test_an_encrypted_model_answers_as_the_readable_one_and_leaves_nothing(
    pair: tuple[Settings, Settings], scratch: Path, tmp_path: Path
) -> None:
    expected = answers(pair[0])
    assert [entry["label_names"][0] for entry in expected] == ["secret blue", "secret red", "secret green"]
    assert answers(pair[1]) == expected
    assert not list(scratch.iterdir())
    for path in (tmp_path / "sealed").iterdir():
        assert path.read_bytes().startswith(b"CLASENC")
        assert b"secret" not in path.read_bytes()


def test_a_changed_byte_in_any_file_is_one_line(pair: tuple[Settings, Settings], tmp_path: Path) -> None:
    for path in (tmp_path / "sealed").iterdir():
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(EncryptedModelError, match=f"{path.name} was changed or cut off") as caught:
            Classifier(pair[1])
        assert "\n" not in str(caught.value)
        path.write_bytes(whole)
    assert len(answers(pair[1])) == 3


def test_another_key_is_one_line(pair: tuple[Settings, Settings], tmp_path: Path) -> None:
    (tmp_path / "key").unlink()
    assert encrypt(tmp_path / "plain", tmp_path / "again", "--generate_key") == 0
    with pytest.raises(EncryptedModelError, match="was encrypted with another key than that in"):
        Classifier(pair[1])


def test_a_forked_worker_opens_it_again(pair: tuple[Settings, Settings]) -> None:
    classifier = Classifier(pair[1])
    expected = classifier.classify(solid_batch(2))

    def in_worker() -> None:
        classifier.ensure_open()
        found = classifier.classify(solid_batch(2))
        assert found[0]["class_ids"] == expected[0]["class_ids"]

    run_in_fork(in_worker)


def test_a_forked_worker_refuses_another_model_of_the_same_key(
    pair: tuple[Settings, Settings], tmp_path: Path
) -> None:
    classifier = Classifier(pair[1])
    assert encrypt(tmp_path / "plain", tmp_path / "again") == 0
    for path in (tmp_path / "again").iterdir():
        path.replace(tmp_path / "sealed" / path.name)

    def in_worker() -> None:
        with pytest.raises(ClasError, match="files have changed since the start"):
            classifier.classify(solid_batch(2))

    run_in_fork(in_worker)


@needs_paddle
@pytest.mark.parametrize("json", [False, True])
def test_a_model_process_decrypts_it_itself(tmp_path: Path, json: bool) -> None:
    write_model(tmp_path / "plain", json=json)
    assert encrypt(tmp_path / "plain", tmp_path / "sealed", "--generate_key") == 0
    sizes = {"crop_size": 32, "resize_short": 32, "class_id_map_file": ""}
    key_file = str(tmp_path / "key")
    model = read_exported_model(settings_for(tmp_path / "sealed", model_key_file=key_file, **sizes))
    runner = open_runner(PaddleEngine, model.programs[0], model.settings, ServerOptions())
    try:
        np.testing.assert_array_equal(runner.run(solid_batch(1, 2)).argmax(axis=1), [1, 2])
    finally:
        runner.close()
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(EncryptedModelError, match="is open to others"):
        open_runner(PaddleEngine, model.programs[0], model.settings, ServerOptions())


@needs_paddle
def test_what_paddle_reads_as_a_file_is_in_memory_only(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import paddle.inference  # noqa: PLC0415

    create = paddle.inference.create_predictor
    seen: list[Path] = []

    def look_and_create(config: Any) -> Any:
        seen.extend(path for path in scratch.rglob("*") if not path.is_dir())
        assert all(path.readlink().is_relative_to("/proc/self/fd") for path in seen)
        return create(config)

    monkeypatch.setattr(paddle.inference, "create_predictor", look_and_create)
    with_labels(write_model(tmp_path / "plain", json=True))
    assert encrypt(tmp_path / "plain", tmp_path / "sealed", "--generate_key") == 0
    key_file = str(tmp_path / "key")
    assert answers(settings_for(tmp_path / "sealed", engine="paddle", model_key_file=key_file))
    assert {path.name for path in seen} == {"inference.json", "inference.pdiparams"}
    assert not list(scratch.iterdir())


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return with_labels(write_onnx_model(tmp_path / "plain"))


def test_what_was_done_is_said_with_the_flags_to_start_with(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encrypt(plain, tmp_path / "new" / "sealed", "--generate_key") == 1  # no folder for the key
    (tmp_path / "new").mkdir()
    assert encrypt(plain, tmp_path / "new" / "sealed", "--generate_key") == 0
    assert capsys.readouterr().out == (
        f"encrypted 3 files of {plain}: inference.onnx, inference.yml, labels.txt\n"
        f"  flags: --inference_model_dir {tmp_path}/new/sealed --model_key_file {tmp_path}/new/key\n"
    )
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"sealed", "key"}


def test_a_label_file_elsewhere_is_encrypted_along(plain: Path, tmp_path: Path) -> None:
    (plain / "labels.txt").rename(tmp_path / "names.txt")
    (plain / "inference.yml").write_text(CONFIG.replace("labels.txt", "../names.txt"))
    assert encrypt(plain, tmp_path / "sealed", "--generate_key") == 0
    (tmp_path / "names.txt").unlink()
    settings = settings_for(tmp_path / "sealed", engine="openvino", model_key_file=str(tmp_path / "key"))
    assert answers(settings)[0]["label_names"][0] == "secret blue"


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda plain: (plain.parent / "sealed").mkdir(), "sealed, or it is inside"),
        (lambda plain: (plain.parent / "key").chmod(0o644), "is open to others"),
        (lambda plain: (plain.parent / "key").write_text("no key"), "holds no key"),
        (lambda plain: (plain / "inference.yml").write_text("PreProcess: 5"), "PreProcess is 5"),
        (lambda plain: (plain / "inference.onnx").unlink(), "holds no file"),
    ],
)
def test_what_can_not_be_encrypted_leaves_nothing(
    plain: Path,
    tmp_path: Path,
    prepare: Callable[[Path], object],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert encrypt(plain, tmp_path / "first", "--generate_key") == 0
    prepare(plain)
    before = sorted(tmp_path.rglob("*"))
    assert encrypt(plain, tmp_path / "sealed") == 1
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_encrypting_twice_and_into_itself_is_refused(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encrypt(plain, tmp_path / "sealed", "--generate_key") == 0
    assert encrypt(tmp_path / "sealed", tmp_path / "twice") == 1
    assert "is encrypted: set model_key_file" in capsys.readouterr().err
    flags = ["--output", str(plain / "inside"), "--key_file", str(tmp_path / "key")]
    assert main(["encrypt", str(plain), *flags]) == 1
    assert "inside, or it is inside" in capsys.readouterr().err
    flags = ["--output", str(tmp_path / "other"), "--key_file", str(plain / "key"), "--generate_key"]
    assert main(["encrypt", str(plain), *flags]) == 1
    assert "is in the folder of the model: move it away" in capsys.readouterr().err
    assert not (plain / "key").exists()
