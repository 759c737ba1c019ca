"""One producer to N subscribers: CPU time of the engine's process for each delivered packet.

Beside it, in the same run and with the same senders and receivers, the floor: a bare UDP
forwarder in C (floor.c: recvmmsg with GRO in, one GSO send per receiver and batch out), without
SRTP, ICE, or any change to the packets. Receivers wait in epoll in a process of their own; on
loopback, their wake-ups and the receiving half of the stack are charged to whoever sends.
"""
