"""Doubles of the parts at the borders, one for each port, over real sockets where the port is a socket."""
