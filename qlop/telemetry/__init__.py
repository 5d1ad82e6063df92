"""Tell people and machines what qlop does: logs and metrics."""
