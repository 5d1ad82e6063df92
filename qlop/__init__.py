"""qlop keeps a Proxmox VE cluster as a directory of manifests says it should be."""

__version__ = "0.1.0"
