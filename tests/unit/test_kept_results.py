"""The client with --output, --resume, --report, --label_file and --top_k, against a service as scripted."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import test_hubserving
from clas.protocol import decode
from clas.settings import PREPROCESS_NAMES, Settings
from clas_client.results_file import FORMATS, encode_line
from interruptible import INTERRUPTIBLE
from scripted_service import Reply, answer_rightly, envelope, peak_memory, scripted_service

ENDINGS = tuple(FORMATS)
RAW = ("--normalize", "False", "--resize_short", "8", "--crop_size", "8")


def write_images(folder: Path, count: int) -> Path:
    """Images of one grey each, called by its number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:03}.png").write_bytes(grey_image(number))
    return folder


def grey_image(grey: int) -> bytes:
    return cv2.imencode(".png", np.full((10, 12, 3), grey, np.uint8))[1].tobytes()


def answer_greys(request: dict[str, Any]) -> Reply:
    """The class of an image is its grey, four further ones follow."""
    tensor = np.asarray(decode(request["images"], request["revert_params"]))
    greys = [int(image.flat[0]) for image in tensor]
    entries = [
        {
            "class_ids": list(range(grey, grey + 5)),
            "scores": [0.5, 0.2, 0.1, 0.05, 0.01],
            "label_names": [f"grey {each}" for each in range(grey, grey + 5)],
        }
        for grey in greys
    ]
    return Reply(envelope({"prediction": entries, "elapse": 0.25}))


def arguments(url: str, path: Path, *flags: object) -> list[str]:
    return ["--server_url", url, "--image_file", str(path), *RAW, *map(str, flags)]


def run(url: str, path: Path, *flags: object) -> int:
    return test_hubserving.main(arguments(url, path, *flags))


def rows(file: Path) -> list[tuple[str, int | None, str]]:
    """Name, best class and error of each row, read by other means than the client's."""
    if file.suffix == ".jsonl":
        objects = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return [(row["file"], (row["class_ids"] or [None])[0], row.get("error", "")) for row in objects]
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return [
            (row["file"], int(row["class_id"]) if row["class_id"] else None, row["error"])
            for row in csv.DictReader(lines)
        ]


def greys(numbers: range | list[int]) -> list[tuple[str, int | None, str]]:
    return [(f"{number:03}.png", number, "") for number in numbers]


@pytest.fixture(params=ENDINGS)
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"results{request.param}"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return write_images(tmp_path / "images", 20)


@pytest.mark.parametrize("flags", [(), ("--batch_size", "3"), ("--batch_size", "3", "--concurrency", "4")])
def test_every_image_has_its_row_in_the_order_of_the_folder(
    images: Path, output: Path, flags: tuple[str, ...]
) -> None:
    with scripted_service(answer_greys) as service:
        assert run(service.url, images, "--output", output, *flags) == 0
    assert rows(output) == greys(range(20))


def test_failed_images_have_an_error_and_only_they_are_sent_again(
    images: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "005.png").write_text("no image")
    refused = [7]

    def answer(request: dict[str, Any]) -> Reply:
        reply = answer_greys(request)
        grey = reply.body["results"]["prediction"][0]["class_ids"][0]
        return Reply(envelope(status="101", msg="no\nmore")) if grey in refused else reply

    with scripted_service(answer) as service:
        assert run(service.url, images, "--output", output) == 1
        failed = {name: error for name, _, error in rows(output) if error}
        assert failed.keys() == {"005.png", "007.png"}
        assert failed["005.png"].startswith("the image can't be decoded")
        assert failed["007.png"] == "the server refused (status 101): no more"
        write_images(images, 20)
        refused.clear()
        service.requests.clear()
        capsys.readouterr()
        assert run(service.url, images, "--output", output, "--resume") == 0
        assert [int(tensor.flat[0]) for tensor in service.tensors()] == [5, 7]
    assert sorted(rows(output)) == greys(range(20))
    out = capsys.readouterr().out
    assert "The average time of prediction cost: 0.250 s/image" in out
    assert "Images with a result of an earlier run, not in these averages: 18" in out


def test_a_service_that_goes_ends_the_run_and_resuming_sends_the_rest(
    images: Path, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def answer_and_close(request: dict[str, Any]) -> Reply:
        if len(service.requests) == 8:
            service.server.socket.close()  # nobody accepts further connections
        return answer_greys(request)._replace(headers=(("Connection", "close"),))

    with scripted_service(answer_and_close) as service:
        assert run(service.url, images, "--output", output, "--retries", 0) == 1
    assert rows(output)[:8] == greys(range(8))
    lost = [name for name, _, error in rows(output) if error]
    assert lost in (["008.png"], ["008.png", "009.png"])  # the first may have been connected already
    assert len(rows(output)) == 8 + len(lost)
    assert "the run ends here, as the service can't be reached; --resume sends the remaining" in caplog.text
    with scripted_service(answer_greys) as service:
        assert run(service.url, images, "--output", output, "--resume") == 0
        assert len(service.requests) == 12
    assert rows(output) == greys(range(20))


def test_an_image_keeps_its_name_whatever_an_answer_says(images: Path, output: Path) -> None:
    def answer(request: dict[str, Any]) -> Reply:
        reply = answer_greys(request)
        reply.body["results"]["prediction"][0]["file"] = "other.png"
        return reply

    with scripted_service(answer) as service:
        assert run(service.url, images, "--output", output) == 0
    assert rows(output) == greys(range(20))


@pytest.mark.parametrize("concurrency", [1, 3])
def test_after_a_kill_resuming_sends_the_rest_and_every_image_has_one_row(
    images: Path, output: Path, repository: Path, concurrency: int
) -> None:
    has_killed = threading.Event()

    def answer_or_kill(request: dict[str, Any]) -> Reply | None:
        reply = answer_greys(request)
        if not has_killed.is_set() and reply.body["results"]["prediction"][0]["class_ids"][0] >= 12:
            has_killed.set()
            client.send_signal(signal.SIGKILL)
            client.wait(60)
            return None
        return reply

    flags = ("--output", output, "--batch_size", "2", "--concurrency", concurrency)
    with scripted_service(answer_or_kill) as service:
        command = [sys.executable, "test_hubserving.py", *arguments(service.url, images, *flags)]
        client = subprocess.Popen(command, cwd=repository, stdout=subprocess.DEVNULL)
        assert client.wait(60) == -signal.SIGKILL
        kept = rows(output)
        assert kept == greys(range(len(kept)))
        with output.open("ab") as file:  # what a kill within a write leaves
            row = FORMATS[output.suffix].write(
                "012.png", {"class_ids": [9], "scores": [1], "label_names": [""]}
            )
            file.write(encode_line(row)[:-9])
        service.requests.clear()
        assert run(service.url, images, *flags, "--resume") == 0
        sent = [int(image.flat[0]) for tensor in service.tensors() for image in tensor]
    assert sorted(sent) == list(range(len(kept), 20))
    assert rows(output) == greys(range(20))


def test_an_interrupt_keeps_what_was_answered_and_ends_the_page(
    images: Path, output: Path, repository: Path, tmp_path: Path
) -> None:
    def answer_or_interrupt(request: dict[str, Any]) -> Reply:
        if len(service.requests) > 4:
            client.send_signal(signal.SIGINT)
            client.wait(60)
        return answer_greys(request)

    page = tmp_path / "page.html"
    with scripted_service(answer_or_interrupt) as service:
        flags = arguments(service.url, images, "--output", output, "--report", page)
        client = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE, *flags],
            cwd=repository,
            stdout=subprocess.DEVNULL,
        )
        assert client.wait(60) == 130
    assert rows(output) == greys(range(4))
    assert page.read_text(encoding="utf-8").endswith("</html>\n")


def test_a_run_with_nothing_left_to_do_is_a_success(
    images: Path, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with scripted_service(answer_greys) as service:
        assert run(service.url, images, "--output", output, "--resume") == 0  # there is none yet
        service.requests.clear()
        assert run(service.url, images, "--output", output, "--resume") == 0
        assert not service.requests
    assert not caplog.records
    assert rows(output) == greys(range(20))


def test_strange_names_are_resumed(tmp_path: Path, output: Path) -> None:
    folder = write_images(tmp_path / "images", 1)
    for name in (
        "a,b.png",
        "two\nlines.png",
        'quo"te.png',
        "图片.png",
        "=1.png",
        os.fsdecode(b"caf\xe9.png"),
    ):
        (folder / name).hardlink_to(folder / "000.png")
    with scripted_service(answer_greys) as service:
        assert run(service.url, folder, "--output", output) == 0
        assert len(service.requests) == 7
        assert run(service.url, folder, "--output", output, "--resume") == 0
        assert len(service.requests) == 7
    assert len(rows(output)) == 7
    assert {"图片.png", 'quo"te.png'} <= {name for name, _, _ in rows(output)}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output", "results.csv"], "already exists: resume it with --resume"),
        (
            ["--output", "results.csv", "--resume", "--wire", "uint8"],
            "another wire (float32; now it is uint8)",
        ),
        (["--output", "results.csv", "--resume", "--top_k", "3"], "another top_k (None; now it is 3)"),
        (["--output", "nowhere/results.csv"], "can't be written: No such file or directory"),
        (["--report", "nowhere/page.html"], "page.html can't be written: No such file or directory"),
        (["--report", "images.html"], "can't be written: Is a directory"),
        (["--label_file", "empty.txt"], "the label file empty.txt is empty"),
        (["--labels_from_folders"], "images has no folders; --labels_from_folders takes one for each class"),
        (
            ["--label_file", "truth.txt", "--metrics", "nowhere/m.json"],
            "nowhere/m.json can't be written: No such file or directory",
        ),
    ],
)
def test_what_can_not_be_kept_is_one_line_before_anything_is_sent(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("images.html").mkdir()
    Path("empty.txt").touch()
    Path("truth.txt").write_text("000.png 0\n")
    with scripted_service(answer_greys) as service:
        assert run(service.url, images, "--output", "results.csv") == 0
        content = Path("results.csv").read_bytes()
        service.requests.clear()
        assert run(service.url, images, *flags) == 2
        assert not service.requests
    assert len(caplog.messages) == 1
    assert message in caplog.messages[0]
    assert Path("results.csv").read_bytes() == content


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output", "results.txt"], "'results.txt' doesn't end in .csv or .jsonl"),
        (["--report", "page.csv"], "'page.csv' doesn't end in .html"),
        (["--resume"], "--resume needs --output, the file to resume"),
        (["--metrics", "m.txt"], "'m.txt' doesn't end in .json or .csv"),
        (["--metrics", "m.json"], "--metrics needs the true classes: --label_file or --labels_from_folders"),
        (["--label_file", "nowhere.txt"], "there is no file or folder 'nowhere.txt'"),
        (["--top_k", "0"], "'0' is not a whole number of at least 1"),
    ],
)
def test_wrong_flags_end_with_status_2(
    images: Path, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run("http://127.0.0.1:1/", images, *flags)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_a_refusal_of_one_file_leaves_the_others_as_they_were(
    images: Path, output: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    with scripted_service(answer_greys) as service:
        assert run(service.url, images, "--output", output, "--report", tmp_path / "no" / "page.html") == 2
        assert run(service.url, images, "--output", output, "--report", page) == 0
        content = page.read_bytes()
        assert run(service.url, images, "--output", output, "--report", page) == 2
    assert page.read_bytes() == content
    assert content.count(b"<h2>") == 20


def test_the_page_of_a_resumed_run_has_all_images(images: Path, output: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    (images / "019.png").rename(tmp_path / "later.png")
    with scripted_service(answer_greys) as service:
        assert run(service.url, images, "--output", output) == 0
        (tmp_path / "later.png").rename(images / "019.png")
        assert run(service.url, images, "--output", output, "--resume", "--report", page) == 0
        assert len(service.requests) == 20
    text = page.read_text(encoding="utf-8")
    assert [f"{number:03}.png" in text for number in range(20)] == [True] * 20
    assert text.count("data:image/jpeg;base64,") == 20


def test_another_model_is_refused(images: Path, output: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, status in (("tiny", 0), ("large", 2)):
        with scripted_service(answer_greys, Reply({"model": {"name": name}})) as service:
            assert run(service.url, images, "--output", output, "--resume") == status
    assert "another model's name (tiny; now it is large)" in caplog.text


def test_a_server_that_still_loads_another_model_gets_nothing(
    images: Path, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    described, loading = Reply({"model": {"name": "tiny"}}), Reply({"model": None})
    for front, status in (
        (described, 0),
        (loading, 2),
        (Reply({"model": {"name": "large"}}), 2),
        (described, 0),
    ):
        with scripted_service(answer_greys, front) as service:
            assert run(service.url, images, "--output", output, "--resume") == status
            assert len(service.requests) == (20 if front is described and not caplog.records else 0)
    assert ["doesn't describe now" in caplog.text, "now it is large" in caplog.text] == [True, True]


def test_results_may_go_into_a_pipe(images: Path, tmp_path: Path, repository: Path) -> None:
    pipe, labels = tmp_path / "pipe.jsonl", tmp_path / "labels.txt"
    os.mkfifo(pipe)
    labels.write_text("000.png 0\n")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.extend(pipe.read_text().splitlines()), daemon=True)
    reader.start()
    with scripted_service(answer_greys) as service:
        flags = arguments(service.url, images, "--output", pipe, "--label_file", labels)
        subprocess.run([sys.executable, "test_hubserving.py", *flags], cwd=repository, check=True, timeout=60)
    reader.join(10)
    assert len(read) == 20


def test_preprocessing_that_another_side_says_is_refused(
    images: Path, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    described = json.loads(
        json.dumps({name: getattr(Settings, name) for name in PREPROCESS_NAMES} | {"resize_size": []})
    )
    with scripted_service(answer_greys, Reply({"model": {"preprocess": described}})) as service:
        flags = ["--server_url", service.url, "--image_file", str(images), "--normalize", "False"]
        flags += ["--output", str(output), "--resume"]
        assert test_hubserving.main(flags) == 0
        assert test_hubserving.main([*flags, "--preprocess", "server"]) == 2
    assert "another preprocess (client; now it is server)" in caplog.text


@pytest.mark.parametrize("flag", ["--output", "--report"])
def test_a_disk_that_is_full_while_sending_is_one_line_and_status_1(
    tmp_path: Path, repository: Path, flag: str
) -> None:
    file = tmp_path / ("full.jsonl" if flag == "--output" else "full.html")
    limited = (
        "import resource, sys, test_hubserving; "
        "soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard)); status = test_hubserving.main(); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)); sys.exit(status)"  # coverage writes, too
    )
    big = write_images(tmp_path / "big", 200)
    with scripted_service(answer_greys) as service:
        done = subprocess.run(
            [sys.executable, "-c", limited, *arguments(service.url, big, flag, file)],
            cwd=repository,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
        assert 5 < len(service.requests) < 200
    assert done.returncode == 1
    assert done.stderr == f"ERROR: {file} can't be written: File too large\n"
    assert file.read_bytes().endswith(b"\n")


def test_accuracy_comes_after_the_averages_and_covers_earlier_runs(
    images: Path, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.txt"
    truth = [number if number < 10 else number + (3 if number < 15 else 40) for number in range(20)]
    labels.write_text("".join(f"images/{number:03}.png {each}\n" for number, each in enumerate(truth)))
    moved = [images / f"{number:03}.png" for number in range(8, 20)]
    for file in moved:
        file.rename(file.with_suffix(".hidden"))
    with scripted_service(answer_greys) as service:
        assert run(service.url, images, "--output", output, "--label_file", labels) == 0
        lines = capsys.readouterr().out.splitlines()
        start = lines.index("The average top-1 score: 0.500")
        assert lines[start + 1 : start + 4] == [
            "The top-1 accuracy: 1.000 (8 of 8 images)",
            "The top-5 accuracy: 1.000 (8 of 8 images)",
            "The macro mean over classes: precision 1.000, recall 1.000, F1 1.000",
        ]
        for file in moved:
            file.with_suffix(".hidden").rename(file)
        assert run(service.url, images, "--output", output, "--label_file", labels, "--resume") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "The top-1 accuracy: 0.500 (10 of 20 images)" in lines
    assert "The top-5 accuracy: 0.750 (15 of 20 images)" in lines
    assert "The worst of 20 classes, by F1:" in lines
    assert lines[-11] == "The confusions, true class -> answer:"
    assert lines[-10] == "       1  13 grey 13 -> 10 grey 10"


def judged(file: Path) -> list[tuple[str, object, object]]:
    """Name, truth and correct of each row, read by other means than the client's."""
    if file.suffix == ".jsonl":
        found = map(json.loads, file.read_text(encoding="utf-8").splitlines())
        return [(row["file"], row["truth"], row["correct"]) for row in found]
    meaning = {"": None, "true": True, "false": False}
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return [
            (row["file"], int(row["truth"]) if row["truth"] else None, meaning[row["correct"]])
            for row in csv.DictReader(lines)
        ]


def test_rows_say_what_is_true_also_those_of_a_run_that_did_not_know(
    images: Path, output: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("000.png 0\n001.png 7\n019.png 19\n")
    (images / "019.png").write_text("no image")
    with scripted_service(answer_greys) as service:
        assert run(service.url, images, "--output", output) == 1
        service.requests.clear()
        assert run(service.url, images, "--output", output, "--label_file", labels, "--resume") == 1
        assert not service.requests
        rest = [(f"{number:03}.png", None, None) for number in range(2, 19)]
        known = [("000.png", 0, True), ("001.png", 7, False)]
        assert judged(output) == [*known, *rest, ("019.png", 19, None)]
        labels.write_text("000.png 0\n001.png 1\n")  # corrected
        write_images(images, 20)
        assert run(service.url, images, "--output", output, "--label_file", labels, "--resume") == 0
    assert judged(output)[:2] == [("000.png", 0, True), ("001.png", 1, True)]
    assert len(judged(output)) == 20


def test_a_table_that_says_what_is_true_is_not_resumed_without(
    images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "labels.txt").write_text("000.png 0\n")
    output = tmp_path / "results.csv"
    with scripted_service(answer_greys) as service:
        assert run(service.url, images, "--output", output, "--label_file", tmp_path / "labels.txt") == 0
        content = output.read_bytes()
        assert run(service.url, images, "--output", output, "--resume") == 2
    assert "has the columns truth and correct: add --label_file or --labels_from_folders" in caplog.text
    assert output.read_bytes() == content


def test_folders_may_say_what_is_true_and_all_figures_go_into_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    root = write_images(tmp_path / "images", 1)
    for name, grey in (("grey 3/a.png", 3), ("grey 3/b.png", 4), ("grey 5/c.png", 5)):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(grey_image(grey))
    with scripted_service(answer_greys) as service:
        flags = ("--labels_from_folders", "--metrics", tmp_path / "m.json", "--report", tmp_path / "p.html")
        assert run(service.url, root, *flags) == 0
    metrics = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert metrics["images"] == 3
    assert metrics["confusions"] == [
        {"class": "grey 3", "label_name": "grey 3", "answer": "grey 4", "answer_name": "grey 4", "images": 1}
    ]
    assert "The top-1 accuracy: 0.667 (2 of 3 images)" in capsys.readouterr().out
    assert f"{root} has no class for 1 answered images" in caplog.text
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert page.count('<li data-truth="') == 3
    assert '<section id="evaluation">' in page


@pytest.mark.parametrize("wire", ["float32", "uint8"])
def test_top_k_is_sent_only_if_it_is_asked_for(images: Path, wire: str) -> None:
    with scripted_service() as service:
        assert run(service.url, images / "001.png", "--wire", wire) == 0
        assert run(service.url, images / "001.png", "--wire", wire, "--top_k", "7") == 0
        first, second = service.requests
    assert "top_k" not in first
    assert second == {**first, "top_k": 7}


def test_top_k_goes_with_encoded_images(images: Path) -> None:
    def answer(request: dict[str, Any]) -> Reply:
        assert request.keys() == {"images", "top_k"}
        return answer_rightly({"revert_params": {"shape": [len(request["images"])]}})

    with scripted_service(answer) as service:
        flags = ["--server_url", service.url, "--image_file", str(images), "--wire", "encoded"]
        assert test_hubserving.main([*flags, "--top_k", "7", "--batch_size", "20"]) == 0
        assert service.requests[0]["top_k"] == 7


def test_memory_does_not_grow_with_what_is_kept(tmp_path: Path) -> None:
    """Neither page nor file nor accuracy hold images; the list of true classes is there from the start."""
    folder = tmp_path / "images"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    (folder / "x.png").write_bytes(cv2.imencode(".png", noise)[1].tobytes())
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{number:04}.png 0\n" for number in range(400)))

    def peak(count: int) -> int:
        for number in range(count):
            link = folder / f"{number:04}.png"
            if not link.exists():
                link.hardlink_to(folder / "x.png")
        kept = ["--output", tmp_path / f"{count}.csv", "--report", tmp_path / f"{count}.html"]
        return peak_memory(answer_greys, lambda url: run(url, folder, *kept, "--label_file", labels))

    peak(5)  # imports and caches
    few = peak(10)
    many = peak(300)
    assert (tmp_path / "300.html").stat().st_size > (tmp_path / "10.html").stat().st_size + 1_500_000
    assert many < few + 300_000
