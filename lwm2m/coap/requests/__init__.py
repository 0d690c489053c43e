"""The request/response layer, once for every carrier: blocks, observations, Echo. RFC 7252 §5, RFC 7641, RFC 7959"""
