"""Use cases of the request wing: one file, one story, ending in one committed transaction."""
