"""What supervisor and worker agree on: frames, the chain, the actor's interface.

Pure: no sockets, no clock, no processes, and nothing imported but the stdlib and cbor2.
"""
