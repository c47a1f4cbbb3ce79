"""The jobs, as Airflow reads them: two kinds that differ in their queue, each of one task that says when it runs.

The ledger is outside of the system that is broken, so that nothing which happens to it changes what it has heard.
"""

import time
from datetime import timedelta
from urllib.request import Request, urlopen

import pendulum
from airflow.models.dag import DAG, DagRun
from airflow.operators.python import PythonOperator

QUEUES = ("a", "b")
# Long enough that a worker can be killed in the middle of it.
JOB_SECONDS = 2
# Nobody runs jobs that may be interrupted without them; Airflow itself would not try again.
RETRIES = {"retries": 3, "retry_delay": timedelta(seconds=5)}


def tell(dag_run: DagRun, what: str) -> None:
    """Let the ledger know."""
    with urlopen(Request(f"{dag_run.conf['ledger']}/{what}/{dag_run.run_id}", method="POST"), timeout=10):
        pass


def job(dag_run: DagRun) -> None:
    """Take some time, as a step of the sample does."""
    tell(dag_run, "started")
    time.sleep(JOB_SECONDS)
    tell(dag_run, "ended")


for queue in QUEUES:
    with DAG(f"job_{queue}", schedule=None, start_date=pendulum.datetime(2026, 1, 1), default_args=RETRIES) as dag:
        PythonOperator(task_id="job", python_callable=job, queue=queue)
    # Airflow takes what it finds by a name of the module.
    globals()[dag.dag_id] = dag
