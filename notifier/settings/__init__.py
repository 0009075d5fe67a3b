"""Every setting, in frozen sections with units in the names, and the strict loader for them."""

from notifier.settings.sections import RelaySettings, Settings

__all__ = ["RelaySettings", "Settings"]
