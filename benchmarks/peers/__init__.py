"""What a user would pick instead. Each file is a program of its own, run by its own packages."""
