"""Decide, purely, what brings the observed cluster to the desired one."""
