"""Flink for tests: a session cluster, Beam's job server, and Python workers, on free ports.

The three together run a portable pipeline: `FlinkStack.options` gives the options that submit to
it. The task manager can be killed and replaced while a job runs.
"""

import json
import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Any, Self

from sparsewatch.testing.child_process import ChildProcess, free_port, port_answers
from tests.kit.installed import REPO_ROOT, TEMPLATES, flink_classpaths, java
from tests.kit.waiting import wait_for

_READY_S = 90.0
_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"

# What Flink 1.19 and Beam reach into by reflection, closed since Java 17.
_OPENED = [
    "java.util",
    "java.lang",
    "java.net",
    "java.io",
    "java.nio",
    "sun.nio.ch",
    "java.time",
    "java.lang.reflect",
    "java.text",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "java.util.concurrent.locks",
]
_JVM_FLAGS = (
    "-XX:+UseSerialGC",
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
    f"-Dlog4j.configurationFile={TEMPLATES / 'flink' / 'log4j.properties'}",
)


class FlinkCluster:
    """A job manager and one task manager of two slots.

    Args:
        folder: Existing folder for settings, checkpoints and logs.
        classpath: Flink's jars.

    Attributes:
        rest_port: Port of the REST interface and web page.
        checkpoints: Folder the checkpoints lie in.
    """

    def __init__(self, folder: Path, classpath: str) -> None:
        self.rest_port = free_port()
        self.checkpoints = folder / "checkpoints"
        self._folder = folder
        (folder / "tmp").mkdir()
        template = Template((TEMPLATES / "flink" / "config.yaml").read_text())
        places = {"folder": folder, "rpc_port": free_port(), "rest_port": self.rest_port}
        (folder / "config.yaml").write_text(template.substitute(places))
        self._job_manager = self._process("job-manager", _JOB_MANAGER, classpath)
        self._task_manager = self._process("task-manager", _TASK_MANAGER, classpath)

    def start(self) -> Self:
        """Start both and return when the task manager has joined."""
        self._job_manager.start()
        self._task_manager.start()
        self.wait_for_task_managers(1)
        return self

    def stop(self) -> None:
        """Stop both."""
        self._task_manager.stop()
        self._job_manager.stop()

    def kill_task_manager(self) -> None:
        """End the task manager as a crash would (SIGKILL)."""
        self._task_manager.kill()

    def start_task_manager(self) -> None:
        """Start the task manager again, after a kill."""
        self._task_manager.start()

    def wait_for_task_managers(self, count: int) -> None:
        """Return once exactly `count` task managers are members."""
        try:
            wait_for(
                lambda: self.get("/overview").get("taskmanagers") == count,
                _READY_S,
                f"{count} Flink task managers",
                poll_s=0.2,
            )
        except AssertionError as error:
            logs = self._job_manager.log_tail() + self._task_manager.log_tail()
            raise AssertionError(f"{error}\n{logs}") from error

    def cancel_jobs(self) -> None:
        """Cancel all jobs, which frees their slots: a job that Beam's job server cancels goes on here."""
        for job in self._jobs():
            request = urllib.request.Request(self._url(f"/jobs/{job}?mode=cancel"), method="PATCH")
            urllib.request.urlopen(request, timeout=5).close()
        wait_for(lambda: not self._jobs(), _READY_S, "all Flink jobs cancelled", poll_s=0.2)

    def get(self, path: str) -> dict[str, Any]:
        """Return the answer of the REST interface at `path`, empty while there is none."""
        try:
            with urllib.request.urlopen(self._url(path), timeout=5) as response:
                answer: dict[str, Any] = json.load(response)
        except (urllib.error.URLError, OSError):
            return {}
        return answer

    def _jobs(self) -> list[str]:
        over = ("FINISHED", "CANCELED", "FAILED")
        return [job["jid"] for job in self.get("/jobs/overview")["jobs"] if job["state"] not in over]

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.rest_port}{path}"

    def _process(self, name: str, main_class: str, classpath: str) -> ChildProcess:
        command = [java(), "-Xmx512m", *_JVM_FLAGS, "-cp", classpath, main_class]
        command += ["--configDir", str(self._folder)]
        return ChildProcess(command, log=self._folder / f"{name}.log", cwd=self._folder)


class JobServer:
    """Beam's Flink job server, the address a portable pipeline is submitted to.

    Args:
        folder: Existing folder for staged files and the log.
        classpath: Its jars.
        flink_port: REST port of the cluster.

    Attributes:
        job_port: Port pipelines are submitted to.
        artifact_port: Port their files are staged at.
    """

    def __init__(self, folder: Path, classpath: str, flink_port: int) -> None:
        self.job_port, self.artifact_port = free_port(), free_port()
        command = [java(), "-Xmx512m", *_JVM_FLAGS, "-cp", classpath, _JOB_SERVER]
        command += [f"--flink-master=127.0.0.1:{flink_port}", f"--job-port={self.job_port}"]
        command += [f"--artifact-port={self.artifact_port}", "--expansion-port=0"]
        command += [f"--artifacts-dir={folder / 'artifacts'}"]
        self._process = ChildProcess(command, log=folder / "job-server.log", cwd=folder)

    def start(self) -> Self:
        """Start it and return when it takes submissions."""
        self._process.start()
        _wait_for_port(self._process, self.job_port, "Beam's job server")
        _wait_for_port(self._process, self.artifact_port, "Beam's job server")
        return self

    def stop(self) -> None:
        """Stop it; jobs on the cluster go on."""
        self._process.stop()

    def log_tail(self) -> str:
        """Return the end of its log."""
        return self._process.log_tail()


class WorkerPool:
    """Beam's pool of Python workers, which import this project.

    Args:
        folder: Existing folder for the log.

    Attributes:
        port: Port the runner asks for workers at.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        module = "apache_beam.runners.worker.worker_pool_main"
        self._process = ChildProcess(
            [sys.executable, "-m", module, f"--service_port={self.port}"],
            log=folder / "workers.log",
            env={"PYTHONPATH": str(REPO_ROOT), "PATH": _path_of_this_python()},
            cwd=folder,
        )

    def start(self) -> Self:
        """Start it and return when it takes requests."""
        self._process.start()
        _wait_for_port(self._process, self.port, "Beam's worker pool")
        return self

    def stop(self) -> None:
        """Stop it and the workers it started."""
        self._process.stop()

    def log_tail(self) -> str:
        """Return the end of what pool and workers printed."""
        return self._process.log_tail()


class FlinkStack:
    """Cluster, job server and worker pool: all a portable pipeline needs.

    A context manager that leaves neither process nor file behind.

    Attributes:
        cluster: The Flink cluster.
        job_server: The job server in front of it.
        workers: The Python workers.

    Raises:
        ServiceMissingError: No Java here, or no jars and no way to fetch them.
    """

    def __init__(self) -> None:
        flink, server = flink_classpaths()
        self._folder = Path(tempfile.mkdtemp(prefix="sparsewatch-flink-"))
        self._running = ExitStack()
        self.cluster = FlinkCluster(self._folder, flink)
        self.job_server = JobServer(self._folder, server, self.cluster.rest_port)
        self.workers = WorkerPool(self._folder)

    def options(self, *, checkpointing_interval_ms: int | None, workers: int = 1) -> list[str]:
        """Return the options that run a pipeline here.

        Args:
            checkpointing_interval_ms: Milliseconds between two checkpoints, for a job that goes on
                until cancelled: with checkpoints no source ever ends. None for a bounded job:
                without them Beam ends its sources once they are read.
            workers: Parallel instances of a step, at most 2: the task manager's slots.
        """
        options = [
            "--runner=PortableRunner",
            f"--job_endpoint=127.0.0.1:{self.job_server.job_port}",
            f"--artifact_endpoint=127.0.0.1:{self.job_server.artifact_port}",
            "--environment_type=EXTERNAL",
            f"--environment_config=127.0.0.1:{self.workers.port}",
            f"--parallelism={workers}",
            "--streaming",
        ]
        if checkpointing_interval_ms is not None:
            options.append(f"--checkpointing_interval={checkpointing_interval_ms}")
        return options

    def __enter__(self) -> Self:
        self._running.callback(shutil.rmtree, self._folder, ignore_errors=True)
        with ExitStack() as started:
            started.push(self._running)
            for service in (self.cluster, self.workers, self.job_server):
                self._running.callback(service.stop)
                service.start()
            started.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.close()


def _path_of_this_python() -> str:
    # The pool starts its workers as `python`, whichever comes first.
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def _wait_for_port(process: ChildProcess, port: int, what: str) -> None:
    try:
        wait_for(lambda: not process.running or port_answers(port), _READY_S, f"{what} answers")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{process.log_tail()}") from error
    assert process.running, f"{what} ended: {process.log_tail()}"
