"""The message layer over datagrams, in parts: `lwm2m.coap.exchange` puts them together. RFC 7252 §3, §4"""
