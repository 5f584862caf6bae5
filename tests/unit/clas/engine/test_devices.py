import os
import subprocess
import sys
from pathlib import Path

import joblib
import pytest

from clas.engine import devices
from clas.engine.devices import available_memory, visible_devices
from clas.errors import DeviceError
from engines import open_engine
from tiny_models import needs_paddle


@needs_paddle
@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (None, r"use_gpu needs CUDA_VISIBLE_DEVICES \(export CUDA_VISIBLE_DEVICES=0\) and a Paddle or"),
        ("", "needs device numbers in CUDA_VISIBLE_DEVICES, such as 0 or 0,1; it is ''"),
        ("all", "it is 'all'"),
        ("0, 1", "it is '0, 1'"),
        ("-1", "it is '-1'"),
    ],
)
def test_use_gpu_without_device_numbers_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path, numbers: str | None, message: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if numbers is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", numbers)
    with pytest.raises(DeviceError, match=message):
        open_engine(tiny_model, use_gpu=True)


@needs_paddle
def test_the_cores_of_the_process_are_the_default(tiny_model: Path) -> None:
    assert open_engine(tiny_model).info.num_threads == joblib.cpu_count()
    code = "from clas.engine.devices import available_cores; print(available_cores())"
    core = min(os.sched_getaffinity(0))
    counted = subprocess.run(
        ["taskset", "-c", str(core), sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
    )
    assert counted.stdout.strip() == "1"


@pytest.mark.parametrize(("numbers", "listed"), [("0", ["0"]), ("4,7", ["4", "7"]), ("10", ["10"])])
def test_devices_are_listed(monkeypatch: pytest.MonkeyPatch, numbers: str, listed: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", numbers)
    assert visible_devices() == visible_devices(numbers) == listed


def test_devices_of_an_option_are_refused_by_its_name() -> None:
    with pytest.raises(DeviceError, match="needs device numbers in gpu, such as 0 or 0,1; it is 'all'"):
        visible_devices("all")


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        (None, {}, None),
        ("0::/", {}, None),
        ("0::/", {"memory.max": "max"}, None),
        ("0::/", {"memory.max": "1048576"}, 2**20),
        ("0::/a.slice/b.service", {"a.slice/b.service/memory.max": "4096"}, 4096),
        (
            "0::/a.slice/b.service",
            {"a.slice/memory.max": "8192", "a.slice/b.service/memory.max": "max"},
            8192,
        ),
        ("4:cpu,cpuacct:/x", {"cpu,cpuacct/x/memory.max": "1"}, None),
        ("7:memory:/docker/1", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("7:memory:/docker/1", {"memory/memory.limit_in_bytes": "2097152"}, 2**21),
        ("7:memory:/docker/1", {"memory/docker/1/memory.limit_in_bytes": "4096"}, 4096),
    ],
    ids=[
        "no cgroups",
        "no file",
        "no limit",
        "a container",
        "a systemd unit",
        "a slice of systemd's",
        "another controller",
        "no limit in version 1",
        "a container in version 1",
        "a cgroup in version 1",
    ],
)
def test_memory_is_bounded_by_the_cgroup(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own: str | None,
    files: dict[str, str],
    limit: int | None,
) -> None:
    cgroups = tmp_path / "cgroups"
    for name, content in files.items():
        (cgroups / name).parent.mkdir(parents=True, exist_ok=True)
        (cgroups / name).write_text(f"{content}\n")
    if own is not None:
        (tmp_path / "own").write_text(f"{own}\n")
    monkeypatch.setattr(devices, "_OWN_CGROUP", tmp_path / "own")
    monkeypatch.setattr(devices, "_CGROUPS", cgroups)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert available_memory() == (machine if limit is None else limit)


def test_memory_is_unbounded_where_nothing_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows."""
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(devices, "_OWN_CGROUP", tmp_path / "none")
    assert available_memory() == 2**63
