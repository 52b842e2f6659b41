"""One Ray cluster for all tests of fleets."""

from collections.abc import Iterator

import pytest

from tests.ray_cluster import ray_cluster
from tests.setups import RAY_NODES, Setup

NODES = RAY_NODES


@pytest.fixture(scope="session")
def ray_address(setup: Setup) -> Iterator[str]:
    """Of three nodes with room for a replica and a trainer each."""
    if setup.ray_address:
        yield setup.ray_address
        return
    pytest.importorskip("ray", reason='Ray is not installed: pip install "ownhand[ray]"')
    with ray_cluster(nodes=NODES, cpus_per_node=2) as address:
        yield address
