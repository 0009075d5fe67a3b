"""Rules without I/O, clock, randomness or logging: time and jitter come in as arguments."""
