"""One module per revision: expand first, contract one release later."""
