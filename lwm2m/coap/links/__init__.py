"""What carries datagrams: UDP, DTLS on top of it, a serial line."""
