"""The delivery wing: what is due is claimed, done and recorded."""
