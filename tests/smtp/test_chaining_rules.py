"""What is learnt of a relay that mails are chained at."""

from notifier.core.reply import LinkFailure, LinkFault, Phase
from notifier.smtp.chaining import LOSSES, PAUSE_S, Chaining


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def lost(chaining: Chaining) -> None:
    assert chaining.untried(LinkFailure(Phase.MAIL, LinkFault.DROPPED, "gone"), True)


def test_connections_that_are_always_closed_behind_a_dot_pause_chaining() -> None:
    clock = Time()
    chaining = Chaining(allowed=True, clock=clock)
    for _ in range(LOSSES):
        assert chaining.allowed
        lost(chaining)
    assert not chaining.allowed
    clock.now += PAUSE_S
    assert chaining.allowed


def test_a_chained_mail_that_went_on_ends_the_row_of_losses() -> None:
    chaining = Chaining(allowed=True)
    for _ in range(LOSSES * 2):
        lost(chaining)
        chaining.went_on()
    assert chaining.allowed


def test_nothing_is_chained_behind_slow_dots() -> None:
    chaining = Chaining(allowed=True)
    chaining.answered(dot_s=5.0)
    assert not chaining.allowed
    chaining.answered(dot_s=0.1)
    assert chaining.allowed
