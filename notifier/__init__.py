"""Notifier: a self-hosted notification service with a durable queue and a real SMTP sender."""

__version__ = "0.1.0"
