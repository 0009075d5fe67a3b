"""What `run.py` runs inside `.venv` beside pytest and Notifier itself."""
