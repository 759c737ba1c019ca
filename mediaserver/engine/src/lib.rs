//! Kelian's packet path.
//!
//! - [`wire`]: bytes to typed values and back (STUN, SRTP, RTP, RTCP, SDP). Pure functions.
//! - `core`: transports, producers, slots. Sans-IO: bytes and an instant in, bytes and events out.
//! - [`journal`]: what recorded sources sent, on disk.
//! - `shell`: sockets and the packet thread. `python`: the binding.

pub mod core;
pub mod journal;
mod python;
mod python_sdp;
pub mod shell;
pub mod wire;
