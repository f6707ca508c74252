//! Association PDUs of peers that are less than exact, made fit for the codec.
//!
//! The codec refuses a whole association for what PS3.8 wants ignored: unknown items, and a refused context
//! without the transfer syntax that has no meaning there (fo-dicom #543). Invariant: what comes out has the same
//! meaning under PS3.8 9.3.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::error::{Abort, Error};

/// PDU header and the fixed part of an A-ASSOCIATE PDU before its items.
const FIXED: usize = 6 + 68;

const IMPLICIT: &[u8] = b"1.2.840.10008.1.2";

fn malformed() -> Error {
    Error::protocol(
        "an item of the association PDU is longer than the PDU",
        Abort::InvalidParameter,
    )
}

/// Rewrites the items of an A-ASSOCIATE-RQ or -AC.
pub(super) fn tidy(pdu: &[u8]) -> Result<Bytes, Error> {
    let (Some(fixed), Some(mut items)) = (pdu.get(..FIXED), pdu.get(FIXED..)) else {
        return Err(Error::protocol("a short association PDU", Abort::InvalidParameter));
    };
    let mut out = BytesMut::with_capacity(pdu.len() + 64);
    out.put_slice(fixed);
    while items.len() >= 4 {
        let kind = items.first().copied().unwrap_or(0);
        items.advance(2);
        let length = usize::from(items.get_u16());
        let body = items.get(..length).ok_or_else(malformed)?;
        items.advance(length);
        match kind {
            0x10 | 0x20 | 0x50 => put_item(&mut out, kind, &[body]),
            0x21 => put_result(&mut out, body),
            _ => {}
        }
    }
    if !items.is_empty() {
        return Err(malformed());
    }
    let length = u32::try_from(out.len().saturating_sub(6)).map_err(|_| malformed())?;
    if let Some(field) = out.get_mut(2..6) {
        field.copy_from_slice(&length.to_be_bytes());
    }
    Ok(out.freeze())
}

fn put_item(out: &mut BytesMut, kind: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.put_slice(&[kind, 0]);
    out.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
    for part in parts {
        out.put_slice(part);
    }
}

/// A context result: reasons beyond 4 count as "no reason", a refusal needs no transfer syntax.
fn put_result(out: &mut BytesMut, body: &[u8]) {
    let (Some(&id), Some(&reason)) = (body.first(), body.get(2)) else {
        return;
    };
    let reason = if reason > 4 { 2 } else { reason };
    let syntax = body.get(4..).unwrap_or(&[]);
    let head = [id, 0, reason, 0];
    if reason != 0 {
        let length = [0x40, 0, 0, 17];
        put_item(out, 0x21, &[&head, &length, IMPLICIT]);
    } else {
        put_item(out, 0x21, &[&head, syntax]);
    }
}
