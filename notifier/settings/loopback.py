"""Which hosts cannot be reached from, and do not reach, another machine."""

import ipaddress
from typing import Final

WILDCARDS: Final = frozenset({"0.0.0.0", "::"})


def is_loopback(host: str) -> bool:
    """Whether `host` is `localhost` or an address of the loopback network, with or without [].

    Other spellings (`127.1`, a decimal number, names that resolve to it) are not believed.
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
