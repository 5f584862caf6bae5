"""The command line without a cluster: parts are computed in this process."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from clas.serving.on_ray.batch import cli, worker
from clas.serving.on_ray.batch.job import Job, Plan
from clas.serving.on_ray.batch.pool import PartDone, Pool, _own, _row
from clas.serving.on_ray.batch.worker import PartWorker

pytestmark = pytest.mark.usefixtures("logger_as_it_was")


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[Pool]:
    """The pools that were asked for; each part is computed here."""
    asked: list[Pool] = []

    def compute(job: Job, plan: Plan, pool: Pool) -> Iterator[PartDone]:
        asked.append(pool)
        one = PartWorker(job)
        for number in plan.missing:
            done = one({"number": number, **_row(plan.pieces[number])})
            yield PartDone(done["images"], json.loads(done["reasons"]))

    monkeypatch.setattr(worker, "reserved_cores", lambda: 1)
    monkeypatch.setattr(cli, "compute", compute)
    return asked


@pytest.fixture
def flags(tmp_path: Path, tiny_model: Path) -> list[str]:
    """A red, a green and a blue image, and one that is none."""
    (tmp_path / "images").mkdir()
    for name, colour in {"r": (0, 0, 255), "g": (0, 255, 0), "b": (255, 0, 0)}.items():
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.full((32, 32, 3), colour, np.uint8))
    (tmp_path / "images" / "x.png").write_bytes(b"nothing")
    given = ["--input", str(tmp_path / "images"), "--output", str(tmp_path / "results")]
    given += ["--inference_model_dir", str(tiny_model), "--class_id_map_file", "", "--topk", "1"]
    return [*given, "--crop_size", "32", "--resize_short", "32", "--part_rows", "3"]


@pytest.mark.parametrize("name", ["parquet", "jsonl", "csv"])
def test_a_run_ends_in_totals_and_going_on_says_what_is_there(
    flags: list[str], pools: list[Pool], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags += ["--format", name]
    assert cli.main([*flags, "--num_cpus", "3", "--max_actors", "5"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "4 images: 3 answered, 1 failed"
    assert "1 x the image can't be decoded: it is none of JPEG" in said.out
    assert "2/2 parts, 4 images, " in said.err
    assert pools == [Pool(1, 5, 3, use_gpu=False)]
    (tmp_path / "results" / f"part-000001.{name}").unlink()
    assert cli.main(flags) == 0
    again = capsys.readouterr()
    assert again.out == said.out
    assert "3 images are in the output of an earlier run\n" in again.err
    assert "1/1 parts, 1 images, " in again.err
    assert cli.main(flags) == 0
    assert len(pools) == 2


def test_the_evaluation_covers_all_parts(
    flags: list[str],
    pools: list[Pool],  # noqa: ARG001
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth, metrics = tmp_path / "truth.txt", tmp_path / "metrics.json"
    truth.write_text("r.png 0\ng.png 1\nb.png 0\n")
    more = ["--label_file", str(truth), "--metrics", str(metrics)]
    assert cli.main(flags) == 0
    assert cli.main([*flags, *more]) == 0
    assert "2 of 3" in capsys.readouterr().out or json.loads(metrics.read_text())


def test_a_run_whose_images_all_fail_has_failed(
    flags: list[str],
    pools: list[Pool],  # noqa: ARG001
    tmp_path: Path,
) -> None:
    assert cli.main([*flags, "--input", str(tmp_path / "images" / "x.png")]) == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--part_rows", "0"], "'0' is not a whole number of at least 1"),
        (["--min_actors", "3", "--max_actors", "2"], "--max_actors 2 is below --min_actors 3"),
        (["--metrics", "x.json"], "--metrics needs the true classes"),
        (["--formt", "csv"], "there is no flag --formt; did you mean --format?"),
        (["--format", "text"], "invalid choice: 'text'"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(
    flags: list[str], more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main([*flags, *more])
    assert message in capsys.readouterr().err


def test_what_can_not_be_used_is_said_in_one_line(
    flags: list[str],
    pools: list[Pool],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert cli.main([*flags, "--input", str(tmp_path / "nothing")]) == 1
    assert (
        f"CRITICAL: SettingsError: there is no file or folder {tmp_path}/nothing\n" in capfd.readouterr().err
    )
    assert not pools


def test_the_error_of_an_actor_is_found_in_rays_text() -> None:
    lines = [
        "Traceback:",
        "  File x",
        "clas.errors.UnavailableError: part 0 can't be read",
        "",
        "RayError: x",
    ]
    text = "\n".join(lines)
    assert str(_own(RuntimeError(text))) == "Ray ends the job: part 0 can't be read"
    assert str(_own(RuntimeError("a\nlost\n"))) == "Ray ends the job: lost"
