"""Facts of what happened, and what is made of them: log lines and metrics."""
