//! The whole way with parts that others wrote: DCMTK, Orthanc, pynetdicom, dcmjs-dimse, dicom3tools.

mod bad_input;
mod bad_peers;
mod holdings;
mod media;
mod senders;
mod several_orders;
