//! Simulations: publishers and subscribers around the core, over bad links, on a virtual clock.
//!
//! The peers are made of the wire formats only and know nothing of the core. All randomness is
//! seeded: a test passes always or never.

mod churn;
mod crowd;
mod hostile;
mod ice;
mod keyframes;
mod lip_sync;
mod packets;
mod peer;
mod recording;
mod repair;
mod reports;
mod sender;
mod simulcast;
mod speakers;
mod switching;
mod world;
