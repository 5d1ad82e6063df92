"""Turn plans, findings and status into text, JSON or HTML, purely."""
