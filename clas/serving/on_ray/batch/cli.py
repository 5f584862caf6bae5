"""The command line of `clas-batch`: plans a run, has it computed, and sums it up."""

import argparse
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from ....commandline.flags import SETTING_FLAGS, given_settings
from ....commandline.kept_results import KeptResults
from ....commandline.terminal import run_to_status, show_any_text, show_log
from ....model.exported import read_exported_model
from ....settings import load_settings
from .flags import parse
from .inputs import folder_of
from .job import Job, Plan, make_plan, remove_unfinished
from .pool import Pool, compute
from .storage import is_uri, open_storage
from .totals import Progress, Totals

_FILES: Final = ("inference_model_dir", "model_key_file", "class_id_map_file")
_AT_ONCE: Final = 16  # parts of earlier runs that are read at a time


def main(argv: list[str] | None = None) -> int:
    """Run the command line, and return its exit status."""
    show_any_text()
    args = parse(sys.argv[1:] if argv is None else argv)
    show_log(logging.INFO if args.verbose else logging.WARNING, "%(levelname)s: %(message)s")
    return run_to_status(partial(_run, args))


def _run(args: argparse.Namespace) -> int:
    given = given_settings(args, (*SETTING_FLAGS, "use_gpu"))
    given |= {name: _from_here(given[name]) for name in _FILES if given.get(name)}
    with closing(KeptResults(_for_evaluation(args))) as kept:
        model = read_exported_model(load_settings(given))
        job = Job(
            inputs=args.input,
            output=args.output,
            format=args.format,
            part_rows=args.part_rows,
            column=args.column,
            settings=given,
            fingerprint=model.fingerprint.digest.hex(),
        )
        plan = make_plan(job, model)
        totals = _read_earlier(job, plan)
        if totals.images:
            sys.stderr.write(f"{totals.images} images are in the output of an earlier run\n")
        _compute(job, plan, _pool_of(args, use_gpu=model.settings.use_gpu), totals)
        sys.stdout.writelines(f"{line}\n" for line in totals.lines())
        if args.label_file or args.labels_from_folders:
            _evaluate(job, plan, kept)
    return int(totals.failed == totals.images)


def _from_here(value: object) -> str:
    """Return the name of a file or a folder as it is understood everywhere, if it is there."""
    path = Path(str(value))
    return str(path.absolute() if path.exists() else value)


def _pool_of(args: argparse.Namespace, *, use_gpu: bool) -> Pool:
    return Pool(args.min_actors, args.max_actors, args.num_cpus, use_gpu, args.verbose)


def _compute(job: Job, plan: Plan, pool: Pool, totals: Totals) -> None:
    if not plan.missing:
        return
    earlier = totals.images
    progress = Progress(len(plan.missing))
    for part in compute(job, plan, pool):
        totals.merge(*part)
        progress.add(totals.images - earlier)
    remove_unfinished(job)


def _read_earlier(job: Job, plan: Plan) -> Totals:
    """Count the images of the parts that were there before."""
    storage, _ = job.open_output()

    def read(number: int) -> Totals:
        part = Totals()
        with storage.open(job.part_name(number)) as file:
            part.add(job.form.errors(file))
        return part

    totals, missing = Totals(), set(plan.missing)
    written = [number for number in range(len(plan.pieces)) if number not in missing]
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        for part in executor.map(read, written):
            totals.merge(part.images, part.reasons)
    return totals


def _evaluate(job: Job, plan: Plan, kept: KeptResults) -> None:
    """Compare all results with the true classes."""
    storage, _ = job.open_output()
    kept.begin(None)
    for number in range(len(plan.pieces)):
        with storage.open(job.part_name(number)) as file:
            for name, prediction in job.form.read(file):
                kept.add(name, prediction)


def _for_evaluation(args: argparse.Namespace) -> argparse.Namespace:
    """Return the flags as `KeptResults` reads them: the folders in which the inputs' names begin."""
    names = [folder_of(open_storage(uri)[1]) for uri in args.input]
    folders = [Path(name) / "_" if is_uri(name) else Path(name) for name in names]  # it takes their parents
    shown = {"paths": folders, "report": None, "format": "text"}
    return argparse.Namespace(**{**vars(args), **shown})
