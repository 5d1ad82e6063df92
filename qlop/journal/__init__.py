"""Remember what was intended and how it ended, across any crash."""
