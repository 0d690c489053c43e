"""What `lwm2m.coap.oscore` is made of. RFC 8613"""
