"""aiocoap's message and token layers over UDP, made to keep our contract."""
