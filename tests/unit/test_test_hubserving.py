import base64
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import test_hubserving
from clas.image.pillow_formats import missing_reader
from clas.protocol import decode
from interruptible import INTERRUPTIBLE
from scripted_service import (
    PADDLEHUBS_FRONT,
    Reply,
    answer_rightly,
    envelope,
    peak_memory,
    predictions,
    scripted_service,
)


def write_image(file: Path, value: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(cv2.imencode(".png", np.full((300, 400, 3), value, np.uint8))[1].tobytes())
    return file


def run(url: str, path: Path, *flags: str) -> int:
    return test_hubserving.main(["--server_url", url, "--image_file", str(path), *flags])


def program(url: str, path: Path, *flags: str) -> list[str]:
    return [sys.executable, "test_hubserving.py", "--server_url", url, "--image_file", str(path), *flags]


def run_program(
    repository: Path,
    url: str,
    path: Path,
    *flags: str,
    stdout: Any = subprocess.PIPE,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run the client as a program of its own, with further variables in its environment."""
    return subprocess.run(
        program(url, path, *flags),
        cwd=repository,
        env={**os.environ, **variables},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "sub/c.PNG"):
        write_image(tmp_path / "images" / name)
    return tmp_path / "images"


def test_an_image_is_printed_with_the_averages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_service() as service:
        assert run(service.url, write_image(tmp_path / "cat.png")) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == (
        "File:cat.png, The result(s): "
        "class_ids: [7, 8], label_names: ['seven', 'eight'], scores: [0.75, 0.125]"
    )
    assert out[1] == "The average time of prediction cost: 0.500 s/image"
    assert out[2].startswith("The average time cost: ")
    assert out[3:] == ["The average top-1 score: 0.750"]


def test_image_path_is_an_alias(tmp_path: Path) -> None:
    with scripted_service() as service:
        flags = ["--server_url", service.url, "--image_path", str(write_image(tmp_path / "cat.png"))]
        assert test_hubserving.main(flags) == 0


def test_a_bad_file_costs_neither_its_neighbours_nor_the_last_batch(
    images: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (images / "aa.jpg").write_text("no image")
    with scripted_service() as service:
        assert run(service.url, images, "--batch_size", "2") == 1
        assert [tensor.shape for tensor in service.tensors()] == [(2, 3, 224, 224), (1, 3, 224, 224)]
    out = capsys.readouterr().out
    assert [line.partition(",")[0] for line in out.splitlines()[:3]] == [
        "File:a.png",
        "File:b.png",
        "File:sub/c.PNG",
    ]
    assert "aa.jpg: the image can't be decoded" in caplog.text


def test_a_refused_batch_does_not_stop_the_others(
    images: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    replies = [Reply(envelope(predictions(1))), Reply(envelope(status="101", msg="no")), Reply(b"x", 500)]
    with scripted_service(lambda _: replies.pop()) as service:
        assert run(service.url, images, "--retries", "0") == 1
    assert "File:sub/c.PNG" in capsys.readouterr().out
    assert "a.png: the server answered HTTP 500" in caplog.text
    assert "b.png: the server refused (status 101): no" in caplog.text


def test_a_server_that_is_not_there_gives_one_line_per_batch_and_status_1(
    images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with scripted_service() as service:
        url = service.url
    assert run(url, images, "--batch_size", "3", "--retries", "0") == 1
    assert "a.png ... sub/c.PNG (3 images): " in caplog.text
    assert "can't be reached: Failed to establish a new connection: [Errno 111]" in caplog.text


def test_a_folder_without_images_is_a_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with scripted_service() as service:
        assert run(service.url, tmp_path) == 1
    assert "no image was answered" in caplog.text


@pytest.mark.parametrize(
    ("flags", "shape", "dtype"),
    [
        ([], [1, 3, 224, 224], "float32"),
        (["--resize_short", "128", "--crop_size", "96"], [1, 3, 96, 96], "float32"),
        (["--normalize", "False"], [1, 3, 224, 224], "uint8"),
        (["--normalize", "false", "--to_chw", "0"], [1, 224, 224, 3], "uint8"),
        (["--normalize", "TRUE", "--to_chw", "no"], [1, 224, 224, 3], "float32"),
    ],
)
def test_the_flags_shape_what_is_sent(images: Path, flags: list[str], shape: list[int], dtype: str) -> None:
    with scripted_service() as service:
        assert run(service.url, images / "a.png", *flags) == 0
        assert service.requests[0]["revert_params"] == {"shape": shape, "dtype": dtype}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--normalize", "maybe"], "'maybe' is neither true nor false"),
        (["--batch_size", "0"], "'0' is not a whole number of at least 1"),
        (["--batch_size", "x"], "'x' is not a whole number of at least 1"),
        (["--retries", "-1"], "'-1' is not a whole number of at least 0"),
        (["--timeout", "0"], "'0' is not a number of seconds from 0.001 to 1000000"),
        (["--timeout", "1e9"], "'1e9' is not a number of seconds"),
        (["--timeout", "x"], "'x' is not a number of seconds"),
        (["--crop_size", "300"], "--resize_short must not be smaller than --crop_size"),
        (["--image_file", "nowhere.png"], "there is no file or folder 'nowhere.png'"),
        (["--image_file", ""], "there is no file or folder ''"),
        (["--server_url", "127.0.0.1:8866"], "is not a URL such as http://"),
        (["--unknown"], "there is no flag --unknown"),
        (["--image_fille", "x"], "there is no flag --image_fille; did you mean --image_file?"),
    ],
)
def test_wrong_arguments_end_with_status_2(
    images: Path, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run("http://127.0.0.1:1/", images, *flags)
    assert caught.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_the_progress_bar_counts_all_images_on_a_terminal(
    images: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with scripted_service() as service:
        run(service.url, images)
    captured = capsys.readouterr()
    assert "3/3" in captured.err
    assert "3/3" not in captured.out


def test_memory_does_not_grow_with_the_number_of_images(images: Path) -> None:
    def peak(count: int) -> int:
        for number in range(len(list(images.iterdir())), count):
            (images / f"x{number}.png").hardlink_to(images / "a.png")
        return peak_memory(answer_rightly, lambda url: run(url, images))

    peak(3)  # imports and caches
    few = peak(5)
    assert peak(60) < few + 1_000_000  # one preprocessed image takes 0.6 MB, its body 0.8


def test_a_reader_that_has_seen_enough_ends_the_client_quietly(images: Path, repository: Path) -> None:
    for number in range(200):
        (images / f"x{number}.png").hardlink_to(images / "a.png")
    with scripted_service() as service:
        client = subprocess.Popen(
            program(service.url, images),
            cwd=repository,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert client.stdout is not None
        assert client.stderr is not None
        client.stdout.readline()
        client.stdout.close()
        assert client.wait(60) == 1
        assert client.stderr.read() == b""
        client.stderr.close()


def test_the_client_runs_without_paddle(images: Path, repository: Path, tmp_path: Path) -> None:
    """With only the packages of constraints/client.txt to be had, whatever else is installed."""
    for name in ("paddle", "paddlehub", "PIL", "joblib", "flask"):
        (tmp_path / "blocked" / name).mkdir(parents=True)
        (tmp_path / "blocked" / name / "__init__.py").write_text(f"raise ImportError('{name} is blocked')")
    with scripted_service() as service:
        done = run_program(repository, service.url, images, PYTHONPATH=str(tmp_path / "blocked"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("File:") == 3
    assert done.stderr == ""


def test_a_changed_preprocessing_reaches_the_wire(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_hubserving, "make_preprocess", lambda _: lambda image: image[:5, :6])
    with scripted_service() as service:
        assert run(service.url, images / "a.png") == 0
        assert service.requests[0]["revert_params"]["shape"] == [1, 5, 6, 3]


def test_a_dead_server_ends_the_run_in_clear_lines(images: Path, repository: Path) -> None:
    with scripted_service() as service:
        url = service.url
    done = run_program(repository, url, images, "--retries", "2")
    reason = "Failed to establish a new connection: [Errno 111] Connection refused"
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"ERROR: a.png: {url} can't be reached: {reason}",
        "ERROR: the run ends here, as the service can't be reached",
        "ERROR: no image was answered",
        "1 file so far: 0 answered, 1 failed",
    ]


def test_the_timeout_is_heeded(images: Path, caplog: pytest.LogCaptureFixture) -> None:
    with scripted_service(lambda _: time.sleep(0.5)) as service:
        assert run(service.url, images / "a.png", "--timeout", "0.1") == 1
    assert "didn't answer within 0.1 s" in caplog.text


def test_names_that_the_output_can_not_show_cost_no_results(images: Path, repository: Path) -> None:
    for name in ("图片.png", os.fsdecode(b"caf\xe9.png")):
        (images / name).hardlink_to(images / "a.png")
    with scripted_service() as service:
        done = run_program(repository, service.url, images, PYTHONIOENCODING="cp1252")
    assert done.returncode == 0, done.stderr
    assert "File:\\u56fe\\u7247.png, " in done.stdout
    assert done.stdout.count("File:") == 5


def test_a_full_disk_is_one_clear_line(images: Path, repository: Path) -> None:
    with scripted_service() as service, Path("/dev/full").open("w") as full:
        done = run_program(repository, service.url, images, stdout=full)
    assert done.returncode == 1
    assert done.stderr == "ERROR: the results can't be written: No space left on device\n"


def test_a_full_disk_ends_the_client_at_once_whatever_its_threads_wait_for(
    images: Path, repository: Path, tmp_path: Path
) -> None:
    write_image(images / "sub" / "c.PNG", 255)
    (tmp_path / "results.jsonl").symlink_to("/dev/full")
    is_over = threading.Event()

    def answer_black_images(request: dict[str, Any]) -> Reply:
        if np.asarray(decode(request["images"], request["revert_params"])).max() > 0:
            is_over.wait(60)
        return Reply(envelope(predictions(1)))

    flags = ("--output", str(tmp_path / "results.jsonl"), "--concurrency", "2")
    with scripted_service(answer_black_images) as service:
        client = subprocess.Popen(
            program(service.url, images, *flags),
            cwd=repository,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _, err = client.communicate(timeout=20)
        finally:
            is_over.set()
            client.kill()
    assert client.returncode == 1
    assert err == "ERROR: /dev/full can't be written: No space left on device\n"


def test_an_interrupt_ends_with_the_averages(images: Path, repository: Path) -> None:
    def answer_once(_: object) -> Reply:
        if len(service.requests) > 1:
            client.send_signal(signal.SIGINT)
            time.sleep(0.5)
        return Reply(envelope(predictions(1)))

    with scripted_service(answer_once) as service:
        client = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE, "--server_url", service.url, "--image_file", str(images)],
            cwd=repository,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        out, err = client.communicate(timeout=60)
    assert client.returncode == 130
    assert "The average time of prediction cost: 0.500 s/image" in out
    assert out.splitlines()[-1].startswith("The average top-1 score: ")
    assert re.search(r"^[12] files? so far: [12] answered$", err, re.MULTILINE)
    assert re.search(r"^WARNING: stopped at [12] of 3$", err, re.MULTILINE)
    assert len(err.splitlines()) == 2


DESCRIBED: dict[str, object] = {
    "resize_short": 48,
    "crop_size": 32,
    "resize_size": [],
    "interpolation": "nearest",
    "resize_backend": "cv2",
    "mean": [10, 20, 30],
    "std": [1, 2, 4],
    "scale": 1,
}


@pytest.mark.parametrize(
    ("described", "shape"),
    [({}, (1, 3, 32, 32)), ({"resize_size": [40, 24], "resize_backend": "pil"}, (1, 3, 24, 40))],
)
def test_the_preprocessing_can_be_the_servers(
    images: Path, described: dict[str, object], shape: tuple[int, ...]
) -> None:
    front = Reply({"model": {"preprocess": {**DESCRIBED, **described}}})
    image = write_image(images / "value.png", 50)
    with scripted_service(front=front) as service:
        assert run(service.url, image, "--preprocess", "server") == 0
        assert run(service.url, image, "--preprocess", "server", "--wire", "uint8") == 0
        computed, pixels = service.tensors()
    assert computed.shape == shape
    np.testing.assert_array_equal(computed[0, :, 0, 0], [40, 15, 5])
    assert pixels.dtype == np.uint8
    assert pixels.shape == (1, shape[2], shape[3], 3)


STANDALONE = {"workers": 2, "predictors": {"serving": 1, "wanted": 1}, "model": None}


@pytest.mark.parametrize(
    ("front", "flags", "expected"),
    [
        (Reply(STANDALONE), (), 4),
        (Reply(STANDALONE), ("--batch_size", "4"), 2),
        (Reply(STANDALONE), ("--concurrency", "3"), 3),
        (Reply(STANDALONE), ("--concurrency", "1"), 1),
        (PADDLEHUBS_FRONT, (), 1),
        (PADDLEHUBS_FRONT, ("--concurrency", "2"), 2),
    ],
)
def test_a_standalone_server_gets_as_many_requests_at_once_as_keep_it_busy(
    images: Path, front: Reply, flags: tuple[str, ...], expected: int
) -> None:
    """No request is answered until so many are there, or until it is clear that no more will come."""
    for number in range(5):
        (images / f"x{number}.png").hardlink_to(images / "a.png")
    under_way: set[int] = set()
    most: list[int] = []
    is_full = threading.Event()

    def answer(request: dict[str, Any]) -> Reply:
        under_way.add(id(request))
        most.append(len(under_way))
        if len(under_way) == expected:
            is_full.set()
        assert is_full.wait(30)
        time.sleep(0.05)
        under_way.remove(id(request))
        return answer_rightly(request)

    with scripted_service(answer, front) as service:
        assert run(service.url, images, *flags) == 0
        assert service.asked == ["/"]
    assert max(most) == expected


@pytest.mark.parametrize("flags", [(), ("--preprocess", "server"), ("--wire", "encoded")])
def test_the_server_is_asked_once_for_all_that_is_needed(
    images: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    front = Reply({**STANDALONE, "model": {"name": "tiny", "preprocess": DESCRIBED}})
    output = tmp_path / "results.csv"
    with scripted_service(lambda _: Reply(envelope(predictions(1))), front) as service:
        assert run(service.url, images, "--output", str(output), *flags) == 0
        assert service.asked == ["/"]
    assert '"model\'s name": "tiny"' in (tmp_path / "results.csv.run.json").read_text()


def test_another_preprocessing_than_the_servers_is_one_warning(
    images: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = Reply({"model": {"preprocess": DESCRIBED}})
    with scripted_service(front=front) as service:
        assert run(service.url, images) == 0
        [record] = caplog.records
        assert "crop_size (32 there, 224 here), interpolation (nearest there" in record.getMessage()
        assert "--preprocess server takes its settings" in record.getMessage()
        assert run(service.url, images, "--preprocess", "server") == 0
        monkeypatch.setattr(test_hubserving, "make_preprocess", lambda _: lambda image: image[:5, :6])
        assert run(service.url, images / "a.png") == 0
        assert caplog.records == [record]


def test_a_server_that_does_not_tell_its_preprocessing_gets_nothing(
    images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with scripted_service() as service:
        assert run(service.url, images, "--preprocess", "server") == 1
        assert service.requests == []
        assert run(service.url, images / "a.png", "--preprocess", "server", "--reduced_decode", "True") == 1
    assert "it doesn't describe its preprocessing, as PaddleHub's server never does" in caplog.text


def test_sizes_do_not_go_with_the_servers_preprocessing(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run("http://127.0.0.1:1/", images, "--preprocess", "server", "--crop_size", "32")
    assert "takes the sizes from the server: remove it, or --crop_size" in capsys.readouterr().err


def test_nothing_of_a_folder_is_left_out_in_silence(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "broken.jpg").write_text("no image")
    for name in ("._a.png", "@eaDir/a.png", "one.gif", "two.GIF", "notes.txt", "LICENSE"):
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).touch()
    (images / "photo.jfif").write_bytes((images / "a.png").read_bytes())
    output = tmp_path / "results.csv"
    with scripted_service() as service:
        assert run(service.url, images, "--output", str(output)) == 1
        kinds = "2 .gif, 1 .txt, 2 hidden or thumbnails, 1 without a known ending"
        said = capsys.readouterr().err.splitlines()[-1]
        assert said == f"11 files: 4 answered, 1 failed, 6 not sent ({kinds})"
        assert run(service.url, images, "--output", str(output), "--resume") == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"11 files: 4 answered (4 in an earlier run), 1 failed, 6 not sent ({kinds})"
    )


def test_a_folder_that_can_not_be_read_has_a_row_under_its_name_like_an_image(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scandir = os.scandir

    def scandir_as_a_user(path: Path) -> Any:  # root may read everything
        if path.name == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scandir_as_a_user)
    output = tmp_path / "results.csv"
    with scripted_service() as service:
        assert run(service.url, images, "--output", str(output)) == 1
    assert caplog.messages == ["sub: it can't be read: Permission denied"]
    [row] = [line for line in output.read_text().splitlines() if line.startswith("sub,")]
    assert row.endswith(",it can't be read: Permission denied")


def test_what_the_server_does_not_take_is_converted_in_every_form(images: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    (tmp_path / "a.tif").write_bytes(cv2.imencode(".tiff", pixels)[1].tobytes())
    with scripted_service(lambda _: Reply(envelope(predictions(1)))) as service:
        assert run(service.url, tmp_path / "a.tif", "--wire", "encoded") == 0
        assert run(service.url, images / "a.png", "--wire", "encoded") == 0
        files = [base64.b64decode(request["images"][0]) for request in service.requests]
    assert files[0].startswith(b"\x89PNG")
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(files[0], np.uint8), cv2.IMREAD_COLOR), pixels)
    assert files[1] == (images / "a.png").read_bytes()
    size = ("--resize_short", "20", "--crop_size", "20")
    with scripted_service() as service:
        assert run(service.url, tmp_path / "a.tif", "--wire", "uint8", *size) == 0
        np.testing.assert_array_equal(service.tensors()[0][0], pixels[:, 5:25, ::-1])


def test_quiet_prints_the_totals_only(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (images / "broken.jpg").write_text("no image")
    with scripted_service() as service:
        assert run(service.url, images, "--quiet") == 1
        printed = capsys.readouterr()
        assert "File:" not in printed.out
        assert printed.err.splitlines()[-1] == "4 files: 3 answered, 1 failed"
        assert [message.partition(":")[0] for message in caplog.messages] == ["broken.jpg"]
        caplog.clear()
        assert run(service.url, images, "--quiet", "--output", str(tmp_path / "results.csv")) == 1
    assert not caplog.records  # the file has the reason
    assert "broken.jpg" in (tmp_path / "results.csv").read_text()


@pytest.mark.parametrize("status", [404, 405, 307])
def test_a_wrong_address_is_one_line_and_ends_the_run_at_once(
    images: Path, repository: Path, tmp_path: Path, status: int
) -> None:
    output = ("--output", str(tmp_path / "results.csv"))
    reply = Reply(envelope(status=str(status), msg="POST is not for /classify"), status)
    with scripted_service(lambda _: reply) as service:
        done = run_program(repository, service.url, images, *output)
        assert len(service.requests) == 1
        [line] = done.stderr.splitlines()
        assert line.startswith(
            f"ERROR: there is no service at {service.url}: the server refused (status {status}"
        )
        assert line.endswith(
            "; --server_url takes an address such as http://127.0.0.1:8866/predict/clas_system"
        )
    assert (done.returncode, done.stdout) == (1, "")
    with scripted_service() as service:  # nothing was written that stands in the way of the right address
        assert run(service.url, images, *output) == 0


def test_an_address_that_served_before_is_not_called_wrong(
    images: Path, caplog: pytest.LogCaptureFixture
) -> None:
    replies = [Reply(envelope(predictions(1))), Reply(envelope(status="404", msg="away"), 404)]
    with scripted_service(lambda _: replies.pop(0) if len(replies) > 1 else replies[0]) as service:
        assert run(service.url, images) == 1
        assert len(service.requests) == 3
    assert caplog.messages[0] == "b.png: the server refused (status 404): away"


@pytest.mark.parametrize("package", ["requests", "tqdm"])
def test_a_package_that_is_missing_is_named_in_one_line(repository: Path, package: str) -> None:
    block = f"import sys; sys.modules[{package!r}] = None; import test_hubserving"
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"the client needs {package}, which isn't installed here: pip install requests tqdm\n"
    )


def test_an_image_that_only_pillow_reads_is_sent_where_it_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    write_image(tmp_path / "images" / "a.png")
    needed = missing_reader("HEIC")
    if needed:
        (tmp_path / "images" / "photo.heic").touch()
    else:
        file = io.BytesIO()
        Image.new("RGB", (64, 48), (200, 30, 30)).save(file, "HEIF")
        (tmp_path / "images" / "photo.heic").write_bytes(file.getvalue())
    with scripted_service(lambda _: Reply(envelope(predictions(1)))) as service:
        assert run(service.url, tmp_path / "images", "--wire", "encoded") == 0
        files = [base64.b64decode(request["images"][0]) for request in service.requests]
    said = capsys.readouterr().err
    if needed:
        assert said.splitlines()[-1] == "2 files: 1 answered, 1 not sent (1 .heic without pillow-heif)"
    else:
        assert said == ""
        assert files[1].startswith(b"\xff\xd8")
