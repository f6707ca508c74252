//! What a refused request reads: one sentence that says what to do next, as RFC 9457 problem details.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::pipeline::Refusal;
use crate::spool;

/// A refusal. It answers as `application/problem+json`; the guard turns it into a page for the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// The request is well-formed but says something that cannot be.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    pub(crate) fn no_such_import() -> Self {
        Refusal::Unknown.into()
    }

    /// The sentence for a status that the framework answered without one.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let detail = match status {
            StatusCode::NOT_FOUND => {
                "there is nothing at this address; /api/v1/openapi.json lists what there is"
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                "this address does not take this method; /api/v1/openapi.json lists what it takes"
            }
            StatusCode::PAYLOAD_TOO_LARGE => "the request is too large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                "send application/json, multipart/form-data or application/zip"
            }
            _ if status.is_server_error() => {
                "the gateway could not answer; its log tells why, then try again"
            }
            _ => "the request is malformed; /api/v1/openapi.json tells what is expected",
        };
        Self::new(status, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Refused");
        let body =
            Body { kind: "about:blank", title, status: self.status.as_u16(), detail: &self.detail };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::Unknown => StatusCode::NOT_FOUND,
            Refusal::NotNow(_) => StatusCode::CONFLICT,
            Refusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            Refusal::Unkept(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Refusal::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refusal.to_string())
    }
}

impl From<spool::Error> for Problem {
    fn from(error: spool::Error) -> Self {
        if matches!(error, spool::Error::Full) {
            return Self::new(StatusCode::INSUFFICIENT_STORAGE, error.to_string());
        }
        tracing::error!(%error, "upload could not be written");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the upload could not be written to disk; the gateway's log tells why, then send it again",
        )
    }
}
