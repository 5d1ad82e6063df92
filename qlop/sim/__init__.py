"""A simulated Proxmox VE cluster that answers as the real one does."""
