"""Carry out actions, one mutation at a time, and see how each ended."""
