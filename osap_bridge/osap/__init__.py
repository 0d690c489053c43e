"""The OSAP protocol, both ends. Imports nothing of lwm2m (but `protocol`)."""
