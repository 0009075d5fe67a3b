"""The dev mailbox: a capture server and its inbox, a small house of its own.

Reached only over SMTP and HTTP; it knows nothing of the queue and never relays.
"""
