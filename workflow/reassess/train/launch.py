"""Starts a run's training processes where there are several: `accelerate launch` on each node of the job.

The process that holds the run's turn trains nothing itself then. It starts `reassess train` once per training process,
passes on that it is to stop, and says what became of them. None of them outlives it.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from reassess import paths
from reassess.graph import Job, resources
from reassess.study import read
from reassess.study.models import Distributed
from reassess.study.study import Study
from reassess.train.plan import TrainError
from reassess.work import attempts, gpus, slurm
from reassess.work.attempts import Record
from reassess.work.lock import Lock
from reassess.work.turns import Interrupted, Stop, Turn

CONFIGS = Path(__file__).with_name("accelerate")
CONFIG_FILES: dict[Distributed, str] = {
    "ddp": "multi_gpu.yaml",
    "zero2": "deepspeed_zero2.yaml",
    "zero3": "deepspeed_zero3.yaml",
}
# Set for every training process: what it was started for, as JSON.
LAUNCHED = "REASSESS_LAUNCHED"
# Seconds between two looks at the training processes.
POLL = 0.2
# Seconds that a training process waits to be ended where it cannot reach another one.
PAUSE = 5.0
# Asks training processes to stop with a checkpoint. SIGTERM would do for a person, but torchrun sends that to the
# others when one of them has failed, and they are not to wait for the dead in a collective then.
STOP = signal.SIGUSR1
# Seconds (whole ones) between SIGTERM and the end of a training process that is not asked to stop meanwhile.
DOUBT = 5
# Seconds that training processes may take to stop; Slurm's own limits are far below.
PATIENCE = 3600
# Ports of rank 0, by Slurm's job id: below the range from which Linux gives out ports by itself.
FIRST_PORT, PORTS = 12_000, 16_000


class World(NamedTuple):
    """The training processes of a run.

    Attributes:
        processes: how many, over all nodes.
        nodes: on how many nodes.
        distributed: how they share the model; says nothing to one process.
        gpu: whether each has a GPU.
    """

    processes: int = 1
    nodes: int = 1
    distributed: Distributed = "ddp"
    gpu: bool = False

    def __str__(self) -> str:
        return "1 process" if self.processes == 1 else f"{self.processes} processes ({self.distributed})"


class Launched(NamedTuple):
    """What a training process was started for.

    Attributes:
        world: it and the others.
        attempt: number of the run's attempt.
        lock: token of the run's lock, which the first process takes over.
        outcome: the file in which the first that ends says why.
        command: arguments of `reassess`.
        address: where the first process listens, over several nodes.
        port: likewise.
    """

    world: World
    attempt: int
    lock: str
    outcome: str
    command: list[str]
    address: str = ""
    port: int = 0


def wanted(study: Study, job: Job) -> World:
    """Return the training processes that a study gives a run."""
    assert job.at.model is not None
    model, stage = study.models[job.at.model], study.all_stages[job.at.stage]
    asked = resources.asked(model, stage.kind, stage)
    return World(asked.training_processes, asked.nodes, resources.distribution(model, stage), asked.gpu > 0)


def launched() -> Launched | None:
    """Return what this process was started for, None where it is no training process of several."""
    return _read() if LAUNCHED in os.environ and "RANK" in os.environ else None


def _read() -> Launched:
    world, *rest = json.loads(os.environ[LAUNCHED])
    return Launched(World(*world), *rest)


def rank() -> int:
    """Return this process' number among the training processes of its run; 0 is the one that writes files."""
    return int(os.environ["RANK"]) if launched() else 0


def start(study: Study, job: Job, turn: Turn, world: World) -> None:
    """Train a run in several processes, and wait for them.

    Raises:
        TrainError: they failed; the message is that of the first that did.
        Interrupted: they were asked to stop, and have saved a checkpoint.
    """
    if world.distributed != "ddp" and importlib.util.find_spec("deepspeed") is None:
        raise TrainError(f"models.{job.at.model}.distributed is {world.distributed}, but DeepSpeed is not installed")
    # Of this attempt alone: what is left of one that was killed may still be about to remove its own.
    folder = Path(job.record).parent / f"launch-{turn.record.number}"
    for left in folder.parent.glob("launch-*"):
        shutil.rmtree(left, ignore_errors=True)
    folder.mkdir(parents=True)
    # The study as it is now, whatever becomes of its file while processes start.
    read.dump(study, folder / "study.json")
    threads = int(os.environ.get("OMP_NUM_THREADS", "1")) * world.nodes // world.processes
    command = ["train", job.key, "--study", str(folder / "study.json"), "--threads", str(max(1, threads))]
    what = Launched(world, turn.record.number, turn.lock.token or "", str(folder / "outcome.json"), command)
    starter = [sys.executable, "-m", "reassess.train.launch"]
    environment = _environment(world)
    if world.nodes > 1:
        allocation = slurm.job_id()
        if allocation is None:
            raise TrainError(
                f"resources.nodes is {world.nodes}: training on several nodes needs a Slurm job; set "
                f"models.{job.at.model}.resources.{study.all_stages[job.at.stage].kind}.nodes to 1 for one machine"
            )
        hosts = slurm.hosts(allocation)
        if len(hosts) != world.nodes:
            raise TrainError(
                f"resources.nodes is {world.nodes}, Slurm job {allocation} has {len(hosts)}: {', '.join(hosts)}"
            )
        what = what._replace(address=slurm.address(hosts[0]), port=FIRST_PORT + int(allocation) % PORTS)
        environment = {name: value for name, value in environment.items() if slurm.is_for_inner_step(name)}
        starter = [
            *("srun", "--overlap", f"--jobid={allocation}", f"--nodes={world.nodes}", f"--ntasks={world.nodes}"),
            *("--ntasks-per-node=1", "--cpu-bind=none", "--mem=0", "--kill-on-bad-exit=1", "--quiet"),
            *starter,
        ]
    turn.stop.listen()
    environment[LAUNCHED] = json.dumps(what)
    process = subprocess.Popen(starter, env=environment, stdin=subprocess.DEVNULL, pass_fds=gpus.held())
    try:
        status = _wait(process, turn.stop)
        _judge(Path(what.outcome), status, turn)
    finally:
        if process.poll() is None:
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _environment(world: World) -> dict[str, str]:
    added = {"PET_SIGNALS_TO_HANDLE": STOP.name, "PET_SHUTDOWN_TIMEOUT": str(PATIENCE)}
    if not world.gpu:
        added["DS_ACCELERATOR"] = "cpu"
    return {**os.environ, **added}


def _wait(process: subprocess.Popen[bytes], stop: Stop) -> int:
    """Return the exit status of the training processes, having told them to stop where this one is told."""
    told = False
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(POLL)
        if stop.signal is not None and not told:
            told = True
            process.send_signal(STOP)


def _judge(file: Path, status: int, turn: Turn) -> None:
    """Say what became of training processes that are gone."""
    try:
        outcome = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        if turn.stop.signal is not None:
            raise Interrupted(turn.stop.signal) from None
        raise TrainError(f"the training processes ended without a word (exit status {status}); see the log") from None
    turn.record.step = outcome["step"] or turn.record.step
    if outcome["why"] == "interrupted":
        raise Interrupted("time_limit" if outcome["detail"] == "time_limit" else turn.stop.signal or STOP.name)
    if outcome["why"] == "failed":
        raise TrainError(outcome["detail"])


@contextmanager
def join(cell: str) -> Iterator[Turn]:
    """Take part in a run that another process has started this one for; ends the process.

    Args:
        cell: the run.
    """
    what = launched()
    assert what is not None
    _die_with_parent()
    # Of names that DeepSpeed uses, at every step.
    warnings.filterwarnings("ignore", message="`torch.distributed.* is deprecated", category=FutureWarning)
    lock = Lock(paths.lock("train", cell))
    if rank() == 0:
        lock.adopt(what.lock)
    else:
        # What all of them say, the first says.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    turn = Turn(lock, _Member("train", cell, what.attempt))
    turn.stop = _Asked()
    turn.stop.listen()
    status = 1
    try:
        yield turn
        if rank() == 0:
            _tell(what, "finished", step=turn.record.step)
        status = 0
    except Interrupted as error:
        if rank() == 0:
            _tell(what, "interrupted", error.why, turn.record.step)
        status = 0
    except BaseException as error:
        if not isinstance(error, TrainError):
            traceback.print_exc()
        if "onnection" in str(error):
            # Another process is gone, whose end is what matters; this one is about to be ended for it.
            time.sleep(PAUSE)
        lines = str(error).strip().splitlines()
        detail = lines[0].removeprefix(f"{cell}: ") if lines else type(error).__name__
        kind = "" if isinstance(error, TrainError) else f"{type(error).__name__}: "
        _tell(what, "failed", f"{kind}{detail}", turn.record.step)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # DeepSpeed's threads now and then abort an interpreter that shuts down, after all was saved.
        os._exit(status)


class _Asked(Stop):
    """Whether a training process is to stop, which the process that has started all of them passes on.

    SIGTERM alone comes from torchrun, which ends this process because another one has failed. Where Slurm signals every
    process of a job, STOP follows.
    """

    def listen(self) -> None:
        signal.signal(STOP, self._note)
        signal.signal(signal.SIGTERM, self._doubt)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # The default: the kernel ends the process, wherever it waits.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _note(self, number: int, frame: FrameType | None) -> None:
        super()._note(number, frame)
        signal.alarm(0)

    def _doubt(self, number: int, frame: FrameType | None) -> None:
        if self.signal is None:
            signal.alarm(DOUBT)


class _Member(Record):
    """The record of an attempt that another process has begun and will end."""

    def __init__(self, command: str, key: str, number: int) -> None:
        self.file = attempts.file_of(command, key)
        self.number = number
        self.step = 0

    def _append(self, line: dict[str, Any]) -> None:
        if rank() == 0:
            super()._append(line)


def _tell(what: Launched, why: str, detail: str = "", step: int | None = None) -> None:
    """Leave word of how a process has ended, unless another has: what comes later follows from that."""
    outcome = {"why": why, "detail": detail, "step": step}
    with contextlib.suppress(OSError), Path(what.outcome).open("x", encoding="utf-8") as handle:
        json.dump(outcome, handle)


def _die_with_parent() -> None:
    """Have the kernel end this process when the one that started it is gone (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def arguments(what: Launched, machine: int) -> list[str]:
    """Return the arguments of one node's `accelerate launch`.

    Args:
        what: what to start.
        machine: number of the node.
    """
    world = what.world
    line = ["--config_file", str(CONFIGS / CONFIG_FILES[world.distributed])]
    line += ["--num_processes", str(world.processes), "--num_machines", str(world.nodes)]
    line += ["--machine_rank", str(machine), "--main_process_port", str(what.port)]
    if what.address:
        line += ["--main_process_ip", what.address]
    return [*line, "--module", "reassess.cli", *what.command]


def _node() -> int:
    """Do what `accelerate launch` does on this node, and say which process was killed, where one was."""
    what = _read()
    _die_with_parent()
    for ignored in (signal.SIGTERM, signal.SIGINT):
        # A signal to the whole job is for the training processes, by way of the one that started this.
        signal.signal(ignored, signal.SIG_IGN)
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # torchrun's reports of its own steps.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.ERROR)
    machine = int(os.environ["SLURM_PROCID"]) if what.world.nodes > 1 else 0
    try:
        launch_command(launch_command_parser().parse_args(arguments(what, machine)))
    except SignalException:
        # It was told to stop, and so were the training processes.
        return 0
    except ChildFailedError as error:
        number, failure = error.get_first_failure()
        if failure.exitcode < 0:
            detail = f"training process {number} was killed by {failure.signal_name()}"
            _tell(what, "failed", f"{detail}: if memory ran out, raise mem_mb or share the model among more processes")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_node())
