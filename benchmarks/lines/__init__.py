"""The lines of the goals table: each module measures some of them."""
