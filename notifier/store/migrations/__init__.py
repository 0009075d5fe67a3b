"""One module per revision: expand first, contract one release later. A release adds one at most."""
