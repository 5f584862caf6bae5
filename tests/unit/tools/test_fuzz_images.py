import sys
from pathlib import Path
from random import Random

import pytest

from clas.image.decode import DecodeImage
from clas.settings import Settings
from fuzz_decoder import MAX_PIXELS
from fuzz_images import fuzz, main
from fuzz_mutations import mutated
from fuzz_seeds import seeds


def test_no_changed_file_harms_the_decoder_of_this_environment() -> None:
    """The short form of `make fuzz`."""
    costs, failures = fuzz(sys.executable, 0, 0, 1600)
    assert failures == {}
    assert len(costs) == 1600
    assert sum(bool(cost["digest"]) for cost in costs.values()) > 300


def test_every_file_can_be_decoded_before_it_is_changed() -> None:
    decode = DecodeImage()
    assert {name: decode(data).shape for name, data in seeds().items() if decode(data).size != 9216} == {}
    assert Settings.max_image_pixels == MAX_PIXELS


def test_the_changes_are_those_of_the_seed() -> None:
    files = list(seeds().values())
    one, again, other = (
        [mutated(Random(f"{seed} {number}"), files, number) for number in range(len(files))]  # noqa: S311
        for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other


FAKE = """#!{python}
import json, os, struct, sys
if "-c" in sys.argv:
    print("9.9")
    sys.exit()
state, seed, start, end = sys.argv[-4], *map(int, sys.argv[-3:])
filler = os.environ["GLIBC_TUNABLES"].split(":")[0]
for number in range(start, end):
    open(state, "r+b").write(struct.pack("<q", number))
    cost = dict(number=number, cpu_s=0.0, memory=0, pixels=100, digest="same")
    if number == 1:
        os.kill(os.getpid(), 11)
    cost.update({faults}.get(number, {{}}))
    print(json.dumps(cost), flush=True)
open(state, "r+b").write(struct.pack("<q", end))
"""


@pytest.fixture
def fake(tmp_path: Path) -> str:
    """An interpreter that does with each file what a decoder might."""
    faults = "{2: {'digest': filler}, 3: {'cpu_s': 1.5}, 4: {'memory': 17 << 20}}"
    file = tmp_path / "python"
    file.write_text(FAKE.format(python=sys.executable, faults=faults))
    file.chmod(0o755)
    return str(file)


def test_each_fault_is_seen_and_the_others_go_on(fake: str) -> None:
    costs, failures = fuzz(fake, 0, 0, 6)
    assert sorted(costs) == [0, 2, 3, 4, 5]
    assert failures == {
        1: "ended by status -11",
        2: "memory that was never written",
        3: "1.5 s for 100 pixels",
        4: "17 MB for 100 pixels",
    }


def test_a_file_that_failed_is_kept(
    fake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["fuzz_images.py", fake, "--count", "2", "--seed", "7"])
    assert main() == 1
    first, fault, total = capsys.readouterr().out.splitlines()
    assert first == "--seed 7"
    name = list(seeds())[1]
    assert fault == f"OpenCV 9.9: build/fuzz/9.9_7_1 ({name}): ended by status -11"
    assert total.startswith("OpenCV 9.9: 2 files, 1 failed; decoded: ")
    assert [file.name for file in (tmp_path / "build/fuzz").iterdir()] == ["9.9_7_1"]


def test_an_environment_that_lacks_something_is_no_fault_of_a_file(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(RuntimeError, match=r"can't run fuzz_decoder.py: status 3"):
        fuzz(str(python), 0, 0, 10)
