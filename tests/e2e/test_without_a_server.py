"""`python -m clas` and `hub run`, as their users start them."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from faces import USES_HUB
from hub_server import run_hub
from known_answers import PHOTOGRAPHS, TOP_5, assert_right

TIMEOUT_S = 120


@pytest.fixture
def many(photographs: Path, tmp_path: Path) -> Path:
    """More images than a pipe has room for results, and than are classified in a moment."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(3000):
        (folder / f"{number:04}.jpg").symlink_to(photographs / "rocket.jpg")
    return folder


@pytest.fixture
def env(repository: Path) -> dict[str, str]:
    """Finds the package from any folder."""
    return {**os.environ, "PYTHONPATH": str(repository)}


def run_clas(env: dict[str, str], cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python(env, cwd, "-m", "clas", *arguments)


def run_python(env: dict[str, str], cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )


@pytest.fixture
def running(env: dict[str, str], many: Path) -> Iterator["subprocess.Popen[str]"]:
    """One that has given its first line, and is far from its last."""
    with subprocess.Popen(
        [sys.executable, "-m", "clas", str(many), "--format", "json"],
        env=env,
        cwd=many,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell without job control ignores the signal in what it starts in the background.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["file"] == str(many / "0000.jpg")
            yield process
        finally:
            process.kill()


def errors(text: str) -> list[str]:
    """What stderr holds, but for a remark of libpng on a photograph."""
    return [line for line in text.splitlines() if not line.startswith("libpng warning")]


def test_images_are_classified_from_any_folder(
    env: dict[str, str], image_folder: Path, tmp_path: Path
) -> None:
    done = run_clas(env, tmp_path, str(image_folder), "--format", "json")
    assert done.returncode == 0, done.stderr
    assert errors(done.stderr) == []
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    assert [entry["file"] for entry in entries] == [str(image_folder / name) for name in PHOTOGRAPHS]
    assert_right(entries, PHOTOGRAPHS)
    assert entries[1]["label_names"][0] == "espresso"


def test_the_package_runs_under_the_name_that_paddlehub_gives_it(
    repository: Path, image_folder: Path, tmp_path: Path
) -> None:
    """And in a folder of its own: nothing beside it is needed."""
    shutil.copytree(repository / "clas", tmp_path / "clas_system")
    done = subprocess.run(
        [sys.executable, "-m", "clas_system", "--top_k", "1", str(image_folder / "coffee.png")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[1:] == ["967", "espresso"]


def test_neither_paddle_nor_paddlehub_is_imported(repository: Path, image_folder: Path) -> None:
    code = (
        "import sys; from clas.__main__ import main\n"
        f"sys.argv = ['clas', {str(image_folder / 'rocket.jpg')!r}]\n"
        "assert main() == 0\n"
        "print('paddle' in sys.modules, 'paddlehub' in sys.modules, 'starlette' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT_S,
    )
    assert done.stdout.splitlines()[-1] == "False False False"


def test_an_interrupt_ends_quietly(running: "subprocess.Popen[str]") -> None:
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=TIMEOUT_S)
    assert running.returncode == 130
    assert err == ""
    assert all(json.loads(line)["class_ids"][0] == 657 for line in out.splitlines())


def test_a_reader_that_has_seen_enough_ends_it_quietly(running: "subprocess.Popen[str]") -> None:
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    assert running.wait(TIMEOUT_S) == 1
    assert running.stderr.read() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_full_disk_is_told_in_one_line(env: dict[str, str], image_folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "clas", str(image_folder / "rocket.jpg")],
            env=env,
            cwd=image_folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    assert done.returncode == 1
    assert errors(done.stderr) == ["CRITICAL: the results can't be written: No space left on device"]


@USES_HUB
def test_hub_run_classifies_a_folder_and_tells_a_broken_file(
    installed: dict[str, str], image_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(image_folder, tmp_path / "some")
    done = run_hub(["run", "clas_system", "--input_path", str(folder), "--top_k", "3"], installed, tmp_path)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1] == "images classified: 3"
    for name in PHOTOGRAPHS:
        start = lines.index(f"{folder / name}:") + 1
        found = [line.split()[:2] for line in lines[start : start + 3]]
        assert [int(class_id) for _, class_id in found] == TOP_5[name][0][:3]
        assert [float(score) for score, _ in found] == pytest.approx(TOP_5[name][1][:3], abs=1e-3)
    (folder / "broken.jpg").write_text("no image")
    done = run_hub(["run", "clas_system", "--input_path", str(folder)], installed, tmp_path)
    assert done.returncode == 1, done.stdout
    assert f"{folder / 'broken.jpg'}: the image can't be decoded" in done.stdout
    assert f"{folder / 'rocket.jpg'}:" in done.stdout
    assert "Traceback" not in done.stdout


@USES_HUB
def test_the_installed_module_classifies_images_and_files_from_python(
    installed: dict[str, str], image_folder: Path, tmp_path: Path
) -> None:
    code = f"""
import json, cv2, paddlehub as hub
module = hub.Module(name="clas_system")
entries = module.classification(
    images=[cv2.imread({str(image_folder / "coffee.png")!r})],
    paths=[{str(image_folder / "rocket.jpg")!r}, "nowhere.jpg"], batch_size=8, top_k=5)
print(json.dumps(entries))
"""
    done = run_python(installed, tmp_path, "-W", "ignore", "-c", code)
    assert done.returncode == 0, done.stderr
    entries = json.loads(done.stdout.splitlines()[-1])
    assert_right(entries[:2], ["coffee.png", "rocket.jpg"])
    assert entries[2]["error"] == "the file can't be read: No such file or directory"


def test_a_machine_is_checked_by_one_command(
    env: dict[str, str], image_folder: Path, default_model_dir: Path, tmp_path: Path
) -> None:
    """On the CPU, through a real server."""
    done = run_clas(
        {**env, "XDG_STATE_HOME": str(tmp_path)},
        tmp_path,
        *("check", str(image_folder), "--inference_model_dir", str(default_model_dir)),
        *("--seconds", "0.5", "--format", "json"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["ok"] is True
    items = {item["name"]: item for item in found["items"]}
    assert all(item["state"] == "ok" for item in found["items"]), items
    for form in ("float32", "uint8", "encoded"):
        assert items[form]["text"].startswith("same best class for 3 of 3 images, largest difference ")
    assert " images/s, p50 " in items["speed"]["text"]
    assert items["stop"]["text"] == "exit status 0"
