"""Speak Proxmox VE's API: actions to calls, payloads to model values."""
