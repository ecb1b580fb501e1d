"""A Ray of so many nodes on loopback, each with two of its cores (one for an actor, one to read and write), until it is asked to
end: what `ray/score.py` finds by its address."""

import argparse
import signal

from ray.cluster_utils import Cluster

parser = argparse.ArgumentParser()
parser.add_argument("--nodes", type=int, required=True)
args = parser.parse_args()
cluster = Cluster()
for _ in range(args.nodes):
    cluster.add_node(num_cpus=2, node_ip_address="127.0.0.1", object_store_memory=200 << 20, include_dashboard=False)
print(cluster.address, flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
cluster.shutdown()
