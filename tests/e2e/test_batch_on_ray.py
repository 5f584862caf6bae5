"""clas-batch on a Ray cluster of several nodes, while processes are killed; and on a server of S3."""

import contextlib
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from clas.classifier import Classifier
from ray_cluster import JobCluster, job_cluster, write_numbered_images
from serving_process import REPOSITORY, eventually

pytestmark = pytest.mark.xdist_group("ray")
IMAGES = 500
PART_ROWS = 10
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
SMALL = ["--crop_size", "32", "--resize_short", "32", "--class_id_map_file", "", "--topk", "1"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[JobCluster]:
    """A head without cores, and two nodes of one core each, where the keys of the server of S3 are known."""
    with pytest.MonkeyPatch.context() as patch, job_cluster() as running:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        running.add_node()
        running.add_node()
        yield running


class Driver:
    """The process of a job's driver."""

    def __init__(self, cluster: JobCluster, *flags: str) -> None:
        self._command = [sys.executable, "-m", "clas.serving.on_ray.batch", *flags]
        self._env = {**os.environ, "RAY_ADDRESS": cluster.address}

    @contextlib.contextmanager
    def running(self) -> Iterator["subprocess.Popen[str]"]:
        streams: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(self._command, cwd=REPOSITORY, env=self._env, **streams) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, status: int = 0) -> str:
        """Run it to its end; returns what it says."""
        with self.running() as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == status, out + err
        return out + err


def write_photographs(folder: Path, photograph: Path) -> Path:
    """Crops of a photograph, each another one."""
    folder.mkdir()
    image = cv2.imread(str(photograph))
    assert image is not None
    for number in range(IMAGES):
        top, left = divmod(number, 25)
        crop = image[2 * top : 2 * top + 240, 3 * left : 3 * left + 260]
        assert cv2.imwrite(str(folder / f"{number:03}.jpg"), crop)
    return folder


def test_every_image_is_classified_once_while_actor_node_and_driver_are_killed(
    cluster: JobCluster, default_model_dir: Path, photographs: Path, tmp_path: Path
) -> None:
    folder = write_photographs(tmp_path / "images", photographs / "chelsea.png")
    (folder / "broken.jpg").write_bytes((folder / "000.jpg").read_bytes()[:1000])
    output = tmp_path / "results"
    flags = ["--input", str(folder), "--output", str(output), "--part_rows", str(PART_ROWS)]
    driver = Driver(cluster, *flags, "--min_actors", "2", "--inference_model_dir", str(default_model_dir))

    def parts() -> dict[str, int]:
        return {file.name: file.stat().st_mtime_ns for file in output.glob("part-*")}

    def go_on() -> None:
        count = len(parts())
        eventually(lambda: len(parts()) >= count + 3, 90)

    with driver.running():
        go_on()
        cluster.actors(next(node for node in cluster.nodes if cluster.actors(node)))[0].kill()
        go_on()
        cluster.add_node()
        cluster.kill_node(cluster.nodes[0])
        go_on()
    before = parts()  # the driver is killed by now
    assert len(before) < 1 + IMAGES // PART_ROWS
    written = {name: (output / name).read_bytes() for name in before}
    said = driver.run()
    assert all((output / name).read_bytes() == content for name, content in written.items())
    assert {name: at for name, at in parts().items() if name in before} == before, "computed again"
    assert f"{IMAGES + 1} images: {IMAGES} answered, 1 failed" in said
    assert not [*output.rglob("_unfinished")]
    rows = pq.read_table([str(file) for file in sorted(output.glob("part-*"))]).to_pylist()
    files = [*sorted(folder.iterdir())]
    assert [row["path"] for row in rows] == [str(file) for file in files]
    expected = Classifier.open(default_model_dir).classify_files(files)
    for row, prediction in zip(rows, expected, strict=True):
        assert row["error"] == prediction.get("error")
        assert row["class_ids"][:1] == prediction["class_ids"][:1]
        np.testing.assert_allclose(row["scores"], prediction["scores"], atol=1e-3)


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Host and port of a server of S3."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield "{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


def fill_bucket(system: pyarrow.fs.S3FileSystem, images: list[bytes]) -> None:
    """Images 0 to 19 as files, 20 to 29 in a tar, 30 to 39 in parquet; a parquet of addresses, and a list."""

    def write(name: str, content: bytes) -> None:
        with system.open_output_stream(f"bucket/{name}") as file:
            file.write(content)

    system.create_dir("bucket")
    for number, image in enumerate(images[:20]):
        write(f"images/some folder/{number:05}.png", image)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for number, image in enumerate(images[20:30], start=20):
            for name, content in ((f"{number:05}.png", image), (f"{number:05}.cls", b"1")):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    write("shards/0.tar", tar.getvalue())
    names = [f"{number:05}.png" for number in range(30, 40)]
    table = pa.table({"name": names, "path": names, "content": images[30:40]})
    with system.open_output_stream("bucket/rows.parquet") as file:
        pq.write_table(table, file, row_group_size=3)
    addresses = ["s3://bucket/images/some folder/00000.png", "images/some folder/00001.png"]
    with system.open_output_stream("bucket/addresses.parquet") as file:
        pq.write_table(pa.table({"uri": addresses}), file)
    write("list.txt", b"s3://bucket/images/some folder/00002.png\nimages/nothing.png\n")


def test_what_is_in_an_object_store_goes_there(
    cluster: JobCluster, numbering_model: Path, endpoint: str, tmp_path: Path
) -> None:
    folder = write_numbered_images(tmp_path / "images", 40)
    images = [file.read_bytes() for file in sorted(folder.iterdir())]
    system = pyarrow.fs.S3FileSystem(endpoint_override=endpoint, scheme="http", allow_bucket_creation=True)
    fill_bucket(system, images)
    options = f"?endpoint_override={endpoint}&scheme=http&region=us-east-1"
    inputs = ("images", "shards/*.tar", "rows.parquet", "addresses.parquet", "list.txt")
    flags = ["--input", *(f"s3://bucket/{name}{options}" for name in inputs), "--format", "jsonl"]
    flags += ["--output", f"s3://bucket/results{options}", "--inference_model_dir", str(numbering_model)]
    driver = Driver(cluster, *flags, *SMALL, "--part_rows", "7")
    said = driver.run()
    assert "44 images: 43 answered, 1 failed" in said
    assert "No such file or directory" in said
    rows = []
    for info in system.get_file_info(pyarrow.fs.FileSelector("bucket/results")):
        if info.base_name.startswith("part-"):
            with system.open_input_stream(info.path) as file:
                rows += [json.loads(line) for line in file.read().splitlines()]
    answered = {row["path"]: row["class_ids"] for row in rows if not row["error"]}
    assert len(rows) == 44
    assert answered["s3://bucket/images/some folder/00019.png"] == [19]
    assert answered["s3://bucket/shards/0.tar/00020.png"] == [20]
    assert answered["00030.png"] == [30]
    assert all(int(Path(path).stem) == found[0] for path, found in answered.items())
    assert "44 images are in the output of an earlier run" in driver.run()
    refused = Driver(cluster, *flags, *SMALL, "--part_rows", "7", "--precision", "bf16").run(1)
    assert "was made with another precision (fp32; now it is bf16)" in refused


def test_a_model_that_no_actor_can_load_ends_the_job_in_one_line(
    cluster: JobCluster, tiny_model: Path, tmp_path: Path
) -> None:
    folder = write_numbered_images(tmp_path / "images", 3)
    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / "inference.pdiparams").write_bytes(b"damaged")
    flags = ["--input", str(folder), "--output", str(tmp_path / "results"), "--engine", "openvino"]
    said = Driver(cluster, *flags, *SMALL, "--inference_model_dir", str(model)).run(1)
    lines = [line for line in said.splitlines() if "core_worker.cc" not in line]  # Ray's own
    assert len(lines) == 1, said
    assert "Ray ends the job: " in lines[0]
    assert "inference.pdiparams is damaged" in lines[0]
