"""What the lines are measured with: sinks, loads, delays, started processes, rounds."""
