"""The worker as a program of its own, for who wants to start it himself: ``python -m networking_worker.service``.

What it is to serve comes from the environment: the connection as the SDK reads it (``TEMPORAL_ADDRESS`` and so on), and
``TEMPORAL_WORKER_TASK_QUEUE``, ``TEMPORAL_WORKER_IDENTITY`` and ``TEMPORAL_WORKER_GRACEFUL_SHUTDOWN_SECONDS``; of a
versioned deployment also ``TEMPORAL_WORKER_DEPLOYMENT`` and ``TEMPORAL_WORKER_BUILD``.
"""

import asyncio
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import NoReturn

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.envconfig import ClientConfig
from temporalio.worker import Worker, WorkerDeploymentConfig

from networking_worker import activities, workflows


def versioned() -> WorkerDeploymentConfig | None:
    """Return of which build this is, ``None`` where that does not matter."""
    if "TEMPORAL_WORKER_DEPLOYMENT" not in os.environ:
        return None
    version = WorkerDeploymentVersion(os.environ["TEMPORAL_WORKER_DEPLOYMENT"], os.environ["TEMPORAL_WORKER_BUILD"])
    return WorkerDeploymentConfig(
        version=version, use_worker_versioning=True, default_versioning_behavior=VersioningBehavior.PINNED
    )


async def main() -> None:
    """Serve until SIGTERM, then let running tasks end."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    client = await Client.connect(
        **ClientConfig.load_client_connect_config(), identity=os.environ["TEMPORAL_WORKER_IDENTITY"]
    )
    with ThreadPoolExecutor() as threads:
        async with Worker(
            client,
            task_queue=os.environ["TEMPORAL_WORKER_TASK_QUEUE"],
            workflows=[workflows.ConfigureNetwork],
            activities=[
                activities.validate_change,
                activities.apply_configuration,
                activities.verify_device,
                activities.roll_back,
            ],
            activity_executor=threads,
            deployment_config=versioned(),
            graceful_shutdown_timeout=timedelta(seconds=float(os.environ["TEMPORAL_WORKER_GRACEFUL_SHUTDOWN_SECONDS"])),
        ):
            await stopped.wait()


def leave() -> NoReturn:
    """End the process without the interpreter's teardown, in which threads of the SDK can crash it.

    That would be a SIGSEGV after all work is done, and systemd would call the stop a failure; the cause is that of
    github.com/temporalio/sdk-python issue 300. An error in ``main`` ends the usual way, with its traceback.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
    leave()
