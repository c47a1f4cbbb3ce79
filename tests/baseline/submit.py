"""Start jobs in Airflow as standard input asks, one line each: queue, id of the run, and where its ledger is.

Runs with Airflow's Python on a host that has its settings. Says for each whether it was accepted, that is written to
the metadata database, as ``accepted ID`` or ``refused ID ERROR``; Airflow says things of its own in between.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from airflow.api.common.trigger_dag import trigger_dag

# Like a client with connections of its own, so that one that hangs does not stop the others.
AT_ONCE = 8


def submit(queue: str, run_id: str, ledger: str) -> None:
    """Start one job and say whether it was accepted."""
    try:
        # Runs of one second would be one run otherwise.
        trigger_dag(f"job_{queue}", run_id=run_id, conf={"ledger": ledger}, replace_microseconds=False)
    except Exception as error:  # every kind of refusal counts
        print(f"\nrefused {run_id} {type(error).__name__}", flush=True)
    else:
        print(f"\naccepted {run_id}", flush=True)


def main() -> None:
    """Run until standard input ends."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for line in sys.stdin:
            pool.submit(submit, *line.split())


if __name__ == "__main__":
    main()
