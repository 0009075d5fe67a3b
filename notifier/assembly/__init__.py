"""The composition root: the one place that knows everybody. Opens in order, closes in reverse.

Whoever needs a part of it imports that part: a command beside a running service must not pay for
the whole service.
"""
