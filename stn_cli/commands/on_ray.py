"""`stn warp --engine ray`: the plan in parts, each warped by an actor of Ray Data as the local engine would warp it.

An actor builds source and engine once and hands each part to `folders.pipeline.run`, so that names, bytes, journals and the
manifest are those of a local run. Inputs, outputs and the files that describe θ must lie where every machine sees them. Behind a
URL nothing can be locked: there the actors send their rows, and the run alone writes the manifest.
"""

import logging
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from stn_cli.commands.options import ThetaOptions
from stn_cli.commands.recipe import Recipe
from stn_cli.errors import FileError, MissingError, OptionError, StnError
from stn_cli.folders.manifest import Journal, Notebook
from stn_cli.folders.pipeline import Interrupted, Results, open_journal, run
from stn_cli.folders.plan import Job, Plan
from stn_cli.folders.remote import Place, Remote
from stn_cli.folders.signals import terminable

# Each part ends with a merge of the manifest: enough parts to share the work evenly and to show how far it is, no more.
_PARTS_A_WORKER = 8
# Pictures in a part whose rows are known to its actor alone until it is done, and lost with it
_ROWS_AT_RISK = 16


def run_on_ray(
    plan: Plan,
    recipe: Recipe,
    *,
    address: str | None = None,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Results:
    """Warp every job of `plan` on the cluster at `address` (None: on this machine) by at most `workers` actors.

    Raises `MissingError` without Ray, `OptionError` where no cluster answers, `StnError` where a worker dies, `Interrupted`.
    Whatever ends the run, what it finished is in the manifest, or in journals that the next run takes over.
    """
    if address is not None:
        _knock(address)
    ray = _ray()
    started = time.monotonic()
    journal = open_journal(plan.manifest) if plan.manifest else None  # an alien manifest is told before Ray starts
    results = Results(skipped=list(plan.skipped))
    logging.disable(logging.CRITICAL)  # Ray logs pages where a line is wanted
    try:
        with terminable():
            _start(ray, address, workers)
            for part, rows in _parts(ray, plan, recipe, _workers(ray, recipe.device, workers)):
                for row in rows:
                    assert journal is not None
                    journal.add(row, None)
                results.done += part.done
                results.skipped += part.skipped
                results.failed += part.failed
                results.notes += part.notes
                results.stopped = results.stopped or part.stopped
                if on_progress is not None:
                    on_progress(len(results.done) + len(results.failed), len(plan.jobs))
                if results.stopped is not None:
                    break
    except KeyboardInterrupt:
        raise Interrupted(results) from None
    except ray.exceptions.RayError as error:
        text = " ".join(str(error).split())[:200]
        raise StnError(f"--engine ray: a worker died; --existing skip goes on with the rest ({text})") from error
    finally:
        ray.shutdown()
        logging.disable(logging.NOTSET)
        if journal is not None:
            journal.close()
            if isinstance(plan.manifest, Path):
                Journal(plan.manifest)  # takes over the journals of workers that were ended here
    results.done.sort(key=lambda job: job.name)
    results.skipped.sort(key=lambda job: job.name)
    results.failed.sort(key=lambda error: str(error.path))
    results.seconds = time.monotonic() - started
    return results


def _knock(address: str) -> None:
    """Is anything there? Ray itself would try for a minute and longer."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise OptionError("--address", address, "auto, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, UnicodeError) as error:
        raise OptionError("--address", address, f"no Ray cluster answers there ({error})") from None


def _ray() -> Any:
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError as error:
        raise MissingError(f"--engine ray needs Ray: pip install 'stn-cli[ray]' ({error})") from None
    return ray


def _start(ray: Any, address: str | None, workers: int | None) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address is None:
            ray.init("local", num_cpus=workers, include_dashboard=False, **quiet)
        else:
            ray.init(address, **quiet)
    except Exception as error:  # Ray raises anything here, and explains at length
        text = " ".join(str(error).split())[:200]
        raise OptionError("--address", address or "local", f"no Ray cluster answers there ({text})") from None
    if threading.current_thread() is threading.main_thread():  # Ray has put its own there: it exits without a word
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def _workers(ray: Any, device: str, most: int | None) -> int:
    resource = "GPU" if device == "cuda" else "CPU"
    there = int(ray.cluster_resources().get(resource, 0))
    if there < 1:
        raise OptionError("--device", device, f"this Ray cluster has no {resource}")
    return min(most or there, there)


def _parts(ray: Any, plan: Plan, recipe: Recipe, workers: int) -> Any:
    """Yields the `Results` of each part, and the rows that nobody wrote yet, in order of completion.

    Raises what an actor could not do at all.
    """
    if not plan.jobs:
        return
    jobs = tuple(replace(job, source=_seen(job.source), target=_seen(job.target)) for job in plan.jobs)
    count = _PARTS_A_WORKER * workers
    if isinstance(plan.folder, Remote):
        count = max(count, -(-len(jobs) // _ROWS_AT_RISK))
    count = min(len(jobs), count)
    bare = replace(plan, jobs=(), skipped=(), folder=_seen(plan.folder))
    # pickled here: Arrow has no room for names that are no valid UTF-8
    rows = [{"jobs": pickle.dumps(jobs[number::count])} for number in range(count)]
    made = ray.data.from_items(rows, override_num_blocks=count).map_batches(
        _Actor,
        fn_constructor_kwargs={"plan": bare, "recipe": replace(recipe, where=_absolute(recipe.where))},
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
        num_gpus=1 if recipe.device == "cuda" else 0,
        # a part that is begun again would find its own results in the way: --existing skip goes on instead
        ray_remote_args_fn=lambda: {"max_restarts": 0, "max_task_retries": 0},
    )
    for row in made.iter_rows():
        result = pickle.loads(row["results"])
        if isinstance(result, StnError):
            raise result
        yield result


def _seen(place: Place) -> Place:
    """Told so that another process in another folder finds it."""
    return place.absolute() if isinstance(place, Path) else place


def _absolute(where: ThetaOptions) -> ThetaOptions:
    """The files that it names, told so that another process in another folder finds them."""
    paths: dict[str, Any] = {
        f.name: value.absolute() for f in fields(where) if isinstance(value := getattr(where, f.name), Path)
    }
    if where.net is not None and Path(where.net).is_file():
        paths["net"] = str(Path(where.net).absolute())
    return replace(where, **paths)


class _Actor:
    """Lives in a worker process of Ray."""

    def __init__(self, plan: Plan, recipe: Recipe) -> None:
        self._plan, self._recipe = plan, recipe
        self._warper: Any = None
        self._waiting = 0  # how many pictures may wait for a batch

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"results": [pickle.dumps(self._run(pickle.loads(jobs))) for jobs in batch["jobs"]]}

    def _run(self, jobs: tuple[Job, ...]) -> tuple[Results, list[Mapping[str, Any]]] | StnError:
        recipe = self._recipe
        notebook = Notebook() if isinstance(self._plan.manifest, Remote) else None
        try:
            if self._warper is None:
                self._warper, self._waiting = recipe.warper()
            warper = self._warper
            results = run(
                replace(self._plan, jobs=jobs),
                warper,
                reading=warper.reading,
                quality=recipe.quality,
                background=recipe.background,
                workers=1 + self._waiting,
                timeout=recipe.timeout,
                journal=notebook,
            )
            return results, notebook.rows if notebook is not None else []
        except FileError as error:
            return StnError(str(error))
        except StnError as error:
            return error
