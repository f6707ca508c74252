//! Which way a study takes: what is recorded of it with its decision.

use serde::{Deserialize, Serialize};

use super::DestinationName;

/// What becomes of compressed images on the way to a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compressed {
    /// They go as they are, or not at all.
    AsIs,
    /// They are decoded where the destination does not take them as they are.
    #[default]
    NativeIfNeeded,
    /// They are decoded always.
    Native,
}

/// Which way a study goes, as it was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Way {
    pub why: Why,
    /// Where it came from, and therefore does not go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_back: Vec<DestinationName>,
}

/// Why it goes there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// The request names the destination.
    Requested,
    /// The route fits: what of it the study met, in words of the configuration.
    Route {
        met: Vec<String>,
    },
    /// There are routes, and none fits.
    NoRouteFits,
    NoRoutes,
}

impl Way {
    /// For a person; `route` is the name of the route.
    pub fn sentence(&self, route: Option<&str>) -> String {
        let mut sentence = match &self.why {
            Why::Requested => "the request names the destination".to_owned(),
            Why::Route { met } if met.is_empty() => {
                format!("route {}, which takes everything", route.unwrap_or_default())
            }
            Why::Route { met } => {
                format!("route {}: {}", route.unwrap_or_default(), met.join(", "))
            }
            Why::NoRouteFits => "no route fits, so it goes everywhere".to_owned(),
            Why::NoRoutes => "there are no routes, so it goes everywhere".to_owned(),
        };
        for name in &self.not_back {
            sentence.push_str(&format!(
                "; not back to {name}, where it comes from (`send-back = true` there allows it)"
            ));
        }
        sentence
    }
}
