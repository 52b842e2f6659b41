"""A real Ray cluster of several nodes on this machine: no dashboard, no telemetry, little memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

OBJECT_STORE_BYTES = 80 * 1024 * 1024
"""Little more than the least that Ray takes."""


@contextmanager
def ray_cluster(*, nodes: int, cpus_per_node: int = 1) -> Iterator[str]:
    """The address of a cluster whose head computes nothing, and of so many nodes beside it."""
    # Nodes start with it: no telemetry, and processes that are as important as the tests that wait for them.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    from ray.cluster_utils import Cluster

    of_all = {"object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False, "num_gpus": 0}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **of_all})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=cpus_per_node, **of_all)
        cluster.wait_for_nodes()
        yield str(cluster.address)
    finally:
        cluster.shutdown()
