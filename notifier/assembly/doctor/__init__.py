"""What `notifier doctor` looks at: the machine, the store, the relays, the settings."""
