"""A Slurm cluster played on this machine: one controller, a few nodes that pretend to have more than there is.

Nodes, GPUs and memory are fake, but the daemons are real, so what a job goes through here (queueing, limits, signals,
requeueing after a lost node, preemption) is what it goes through on a cluster with the usual settings.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("srun", "sbatch", "squeue", "scontrol", "scancel", "sinfo", "sacct", "sacctmgr", "sshare")
# Debian has the daemons here, which is not on everyone's PATH.
SBIN = "/usr/sbin:/sbin"
CGROUPS = Path("/sys/fs/cgroup")
CONTROLLERS = ("freezer", "memory", "devices", "cpuset", "cpuacct")
PR_SET_PDEATHSIG = 1

CONF = """\
ClusterName=played
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A requeued job waits for this long, 120 s by default.
AuthInfo=socket={root}/munge/socket,cred_expire=10
CredType=cred/munge
StateSaveLocation={root}/state/slurmctld
SlurmdSpoolDir={root}/state/%n
SlurmctldPidFile={root}/state/slurmctld.pid
SlurmdPidFile={root}/state/%n.pid
SlurmctldLogFile={root}/log/slurmctld
SlurmdLogFile={root}/log/%n
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_min_interval=0,bf_interval=5,batch_sched_delay=0,sched_interval=2
MinJobAge=7200
KillWait=10
SlurmdTimeout=10
JobRequeue=1
MessageTimeout=10
UnkillableStepTimeout=20
AccountingStorageType=accounting_storage/none
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
{tracking}
{nodes}
PartitionName=DEFAULT Nodes=ALL State=UP MaxTime=INFINITE DefaultTime=5 DefMemPerCPU=200 PreemptMode=OFF
PartitionName=cpu Default=YES PriorityTier=10
PartitionName=gpu PriorityTier=10
PartitionName=low PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=high PriorityTier=100
"""
# Signals reach only the step's first process, as on real clusters: without cgroups they reach its children too.
WITH_CGROUPS = "ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup\nJobAcctGatherType=jobacct_gather/none"
WITHOUT_CGROUPS = (
    "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nJobAcctGatherType=jobacct_gather/linux\n"
    "JobAcctGatherFrequency=task=1\nJobAcctGatherParams=OverMemoryKill"
)
CGROUP_CONF = f"""\
CgroupPlugin=cgroup/v1
CgroupMountpoint={CGROUPS}
CgroupAutomount=no
ConstrainRAMSpace=yes
ConstrainCores=no
"""


def missing() -> list[str]:
    """Return what has to be installed before a cluster can be played here."""
    path = f"{os.environ['PATH']}:{SBIN}"
    return [name for name in (*DAEMONS, "srun", "sbatch") if shutil.which(name, path=path) is None]


def cgroups_can_be_used() -> bool:
    """Return whether this process may make control groups of version 1, as Slurm 22.05 wants them."""
    try:
        for controller in ("freezer", "memory"):
            trial = CGROUPS / controller / f"played-{os.getpid()}"
            trial.mkdir()
            trial.rmdir()
    except OSError:
        return False
    return True


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Return the first true value of `condition`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)
    return value


def die_with_parent() -> None:
    """Let the kernel end a daemon whose test session was killed before it could."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class Cluster:
    """Three nodes of 8 CPUs, 6000 MB and two GPUs each; partitions cpu (default), gpu, low (preemptible) and high."""

    root: Path
    size: int = 3
    cpus: int = 8
    memory_mb: int = 6000
    gpus: int = 2
    cgroup: bool = field(default_factory=cgroups_can_be_used)
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = self.root.resolve()
        # Control groups are named after nodes, so two clusters at once need nodes of different names.
        self.nodes = [f"n{number}x{os.getpid()}" for number in range(1, self.size + 1)]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def conf(self) -> Path:
        return self.root / "etc/slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user of this cluster."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        return {**kept, "PATH": f"{self.root}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def start(self) -> None:
        """Bring the cluster up and wait until every node is idle."""
        self._write()
        munge = self.root / "munge"
        files = [f"--{name}={munge / name}" for name in ("socket", "key-file", "log-file", "pid-file", "seed-file")]
        try:
            self._spawn("munged", "munged", "--foreground", "--force", *files)
            wait_for("munged", (munge / "socket").exists)
            self._spawn("slurmctld", "slurmctld", "-D", "-f", str(self.conf))
            for node in self.nodes:
                self.start_node(node)
            wait_for("nodes idle", lambda: self.node_states() == dict.fromkeys(self.nodes, "IDLE"))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all daemons and whatever is left of jobs; a cluster whose nodes were killed too."""
        # The controller first: it would wait for nodes that do not answer.
        self._end("slurmctld")
        for node in self.nodes:
            self.kill_node(node)
        self._end("munged")
        for node in self.nodes:
            for controller in CONTROLLERS if self.cgroup else ():
                top = CGROUPS / controller / f"slurm_{node}"
                folders = [Path(folder) for folder, _, _ in os.walk(top, topdown=False)]
                for folder in folders:
                    # A process that was just killed may still be counted.
                    with suppress(OSError):
                        folder.rmdir()

    def start_node(self, node: str) -> None:
        """Start a node's daemon, for the first time or after its death."""
        self._end(node)
        self._spawn(node, "slurmd", "-D", "-N", node, "-f", str(self.conf))

    def kill_slurmd(self, node: str) -> None:
        """Kill a node's daemon alone: its jobs go on, unseen."""
        self.daemons[node].kill()
        self.daemons[node].wait()

    def kill_node(self, node: str) -> None:
        """Kill everything on a node at one blow, as a power cut would."""
        steps, others = self._processes(node)
        if daemon := self.daemons.get(node):
            daemon.kill()
        # Whatever could still tell the controller dies before its children do.
        for process in (*steps, *others):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs([*steps, *others], timeout=10)
        if daemon:
            daemon.wait()

    def node_states(self) -> dict[str, str]:
        """Return the state of every node, as `scontrol show node` has it, without marks such as `*`."""
        return {node["NodeName"]: re.sub(r"\W.*", "", node["State"]) for node in self.show("node")}

    def jobs(self) -> list[dict[str, str]]:
        """Return all jobs that the controller remembers, oldest first, with id, state, comment, node and restarts."""
        names = {"id": "JobId", "state": "JobState", "comment": "Comment", "node": "NodeList", "restarts": "Restarts"}
        found = [{key: job.get(name, "") for key, name in names.items()} for job in self.show("job")]
        return sorted(found, key=lambda job: int(job["id"]))

    def state(self, job_id: str) -> dict[str, str]:
        """Return what `scontrol show job` says of a job."""
        (job,) = self.show("job", job_id)
        return job

    def cancel(self, job_id: str) -> None:
        self.run("scancel", job_id)

    def run(self, *command: str) -> str:
        """Run a command as a user of the cluster and return what it prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def show(self, *what: str) -> Iterator[dict[str, str]]:
        """Yield what `scontrol show` says of each thing it shows, such as all jobs for `job`."""
        for line in self.run("scontrol", "--oneliner", "show", *what).splitlines():
            if pairs := re.findall(r"(\S+?)=(.*?)(?= [A-Z][\w/:]*=|$)", line):
                yield {name: value.strip() for name, value in pairs}

    def _write(self) -> None:
        for name in ("etc", "log", "munge", "bin", "state/slurmctld"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        # munged refuses a key that others may read, and a socket that they may not reach.
        key = self.root / "munge/key-file"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(1024))
        for folder in (self.root, self.root / "munge"):
            folder.chmod(0o755)
        ports = free_ports(1 + self.size)
        host = socket.gethostname().split(".")[0]
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} Sockets=1"
            f" CoresPerSocket={self.cpus} ThreadsPerCore=1 RealMemory={self.memory_mb} Gres=gpu:h200:{self.gpus}"
            for node, port in zip(self.nodes, ports[1:], strict=True)
        ]
        conf = CONF.format(
            host=host,
            ports=ports,
            user=pwd.getpwuid(os.getuid()).pw_name,
            root=self.root,
            tracking=WITH_CGROUPS if self.cgroup else WITHOUT_CGROUPS,
            nodes="\n".join(nodes),
        )
        self.conf.write_text(conf, encoding="utf-8")
        (self.root / "etc/cgroup.conf").write_text(CGROUP_CONF if self.cgroup else "", encoding="utf-8")
        gres = [f"NodeName={node} Name=gpu Type=h200 File={self._gpus(node)}\n" for node in self.nodes]
        (self.root / "etc/gres.conf").write_text("".join(gres), encoding="utf-8")
        for name in COMMANDS:
            shim = self.root / "bin" / name
            # A job's own srun does not inherit SLURM_CONF: the executor drops all such variables.
            shim.write_text(f'#!/bin/sh\nSLURM_CONF={self.conf} exec {shutil.which(name)} "$@"\n', encoding="utf-8")
            shim.chmod(0o755)

    def _gpus(self, node: str) -> str:
        """Return devices for a node's GPUs: Slurm counts no files other than character devices."""
        try:
            for number in range(self.gpus):
                # The numbers of /dev/null.
                os.mknod(self.root / f"state/gpu.{node}.{number}", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except FileExistsError:
            pass
        except PermissionError:
            return f"/dev/tty[0-{self.gpus - 1}]"
        return f"{self.root}/state/gpu.{node}.[0-{self.gpus - 1}]"

    def _spawn(self, name: str, program: str, *arguments: str) -> None:
        """Start a daemon in the foreground, as a child whose end leaves no zombie and no stale pid file."""
        path = shutil.which(program, path=f"{os.environ['PATH']}:{SBIN}")
        assert path is not None
        with (self.root / "log" / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                [path, *arguments],
                env={**self.environment, "SLURM_CONF": str(self.conf)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def _end(self, name: str) -> None:
        if daemon := self.daemons.pop(name, None):
            daemon.terminate()
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def _processes(self, node: str) -> tuple[list[psutil.Process], list[psutil.Process]]:
        """Return a node's step daemons, and the processes of its jobs."""
        log = self.root / "log" / node
        steps, jobs = [], []
        for process in psutil.process_iter():
            # Processes end while they are looked at.
            with suppress(psutil.Error, OSError):
                if process.name().startswith("slurmstepd") and log_of(process, log):
                    steps.append(process)
                elif process.environ().get("SLURMD_NODENAME") == node:
                    jobs.append(process)
        # Some change their titles, and with them what can be read of their environment.
        for process in (*steps, *jobs):
            with suppress(psutil.Error):
                jobs += process.children(recursive=True)
        return steps, [process for process in dict.fromkeys(jobs) if process not in steps]


def log_of(process: psutil.Process, log: Path) -> bool:
    """Return whether a process has this log open."""
    return any(file.exists() and file.samefile(log) for file in Path(f"/proc/{process.pid}/fd").iterdir())


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
