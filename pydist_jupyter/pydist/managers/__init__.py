"""How workers are started: the interface for cluster managers, and the ones that come along.

Third parties register theirs under the entry point group ``pydist.cluster_managers``.
"""

from pydist.managers.base import ClusterManager as ClusterManager, WorkerConfig as WorkerConfig
from pydist.managers.local import LocalManager as LocalManager

__all__ = ["ClusterManager", "LocalManager", "WorkerConfig"]
