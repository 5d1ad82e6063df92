"""Observe, plan, act, look again."""
