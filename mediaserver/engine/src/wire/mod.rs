//! Wire formats: parse and write, no state beyond SRTP contexts, no clock, no I/O.
