//! Days and numbers by which items are found.

use crate::dicom::{BirthDate, Item};

use super::super::kvnr;
use super::super::postings::hash;
use super::super::study::Study;

/// A day as a number that sorts as it does.
pub(super) fn day(date: BirthDate) -> u64 {
    let date = date.date();
    let part = |value: i8| u64::try_from(value).unwrap_or(0);
    let year = u64::try_from(date.year()).unwrap_or(0);
    year * 10_000 + part(date.month()) * 100 + part(date.day())
}

/// The day, and every day that one slip makes of it (as [`compare::birth_dates`] sees slips).
pub(super) fn slips_of(date: BirthDate) -> Vec<u64> {
    let exact = day(date);
    let mut days = vec![exact];
    let mut place = 1_u64;
    for _ in 0..8 {
        let digit = exact / place % 10;
        days.extend((0..10).filter(|d| *d != digit).map(|d| exact - digit * place + d * place));
        place *= 10;
    }
    let civil = date.date();
    for neighbour in [civil.tomorrow(), civil.yesterday()].into_iter().flatten() {
        days.extend(BirthDate::parse(&neighbour.to_string()).map(day));
    }
    let (year, month, of_month) = (exact / 10_000, exact / 100 % 100, exact % 100);
    days.push(year * 10_000 + of_month * 100 + month);
    days.push(year * 10_000 + 101);
    days
}

fn id_key(id: &str) -> u64 {
    hash("id", id.trim().trim_start_matches('0'))
}

/// Numbers that point to an item.
pub(super) fn numbers_of(item: &Item) -> Vec<u64> {
    let id = item.patient.id.as_ref();
    let kvnr = id.and_then(kvnr::of).map(|number| hash("kvnr", number));
    let number = item.accession_number.as_ref().map(|number| hash("order", number.number.trim()));
    let uid = item.study_uid.as_ref().map(|uid| hash("uid", uid.as_str()));
    [id.map(|id| id_key(&id.id)), kvnr, number, uid].into_iter().flatten().collect()
}

pub(super) fn numbers_of_study(study: &Study<'_>) -> Vec<u64> {
    let witnesses = &study.case.witnesses;
    let asked = witnesses.requested_patient.as_ref();
    let ids = study.ids.iter().copied().chain(asked);
    let mut numbers: Vec<u64> = ids.clone().map(|id| id_key(&id.id)).collect();
    numbers.extend(ids.filter_map(kvnr::of).map(|number| hash("kvnr", number)));
    let header = study.case.facts.accession_number.as_ref().map(|number| number.number.trim());
    numbers.extend(study.requested_order.into_iter().chain(header).map(|n| hash("order", n)));
    numbers.push(hash("uid", study.case.facts.study_uid.as_str()));
    numbers
}
