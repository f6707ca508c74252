//! What the scheduler works with.

use crate::clock::Clock;
use crate::forward::Destinations;
use crate::import::Times;
use crate::import::routes::RouteSection;
use crate::journal::{Journal, Recovered};
use crate::matching::MatchingSection;
use crate::spool::Spool;
use crate::worklist::Worklist;
use crate::{fetch, reconcile, unpack, web};

use super::Backoff;

/// What a reload may change. Running stages keep what they started with.
#[derive(Clone)]
pub struct Settings {
    pub times: Times,
    pub matching: MatchingSection,
    pub site: reconcile::Site,
    pub zone: jiff::tz::TimeZone,
    pub backoff: Backoff,
    pub limits: unpack::Limits,
    pub scan: unpack::ScanSection,
    pub client: web::Client,
    pub fetch: fetch::FetchSection,
    pub recipes: fetch::Recipes,
    pub sources: fetch::Sources,
    pub worklist: Worklist,
    pub destinations: Destinations,
    pub routes: Vec<RouteSection>,
}

/// What the scheduler is started with.
pub struct Parts {
    pub clock: Clock,
    pub spool: Spool,
    pub journal: Journal,
    pub recovered: Recovered,
    pub settings: Settings,
}
