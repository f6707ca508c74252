//! A portal, a RIS, an HL7 side and a PACS that play the hospital's part on loopback, and misbehave on request.
//!
//! For the demo, the tests and the benchmarks; a package is built without them. They know the gateway's
//! vocabulary and wire formats, never the gateway. Invariant: every patient here is invented by code.

pub mod his;
pub mod pacs;
pub mod pages;
pub mod portal;
pub mod ris;
pub mod sample;
pub mod stow;
pub mod world;
