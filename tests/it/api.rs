//! The HTTP API, the control socket and the command line against the running daemon, as their contract has it.

mod cli;
mod door;
mod imports;
mod upload;

use lotse::sim::sample::Sample;
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::desk::Hospital;

/// Status, media type and body of an answer.
struct Answer {
    status: u16,
    kind: String,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let headers = response.headers().clone();
        let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or("");
        let (status, kind) = (response.status().as_u16(), kind.to_owned());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, kind, headers, body }
    }

    /// The answer is a refusal with this status: RFC 9457, and a sentence.
    #[track_caller]
    fn refused(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.kind, "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["type"], "about:blank");
        assert!(!self.body["title"].as_str().unwrap().is_empty());
        let detail = self.body["detail"].as_str().unwrap();
        assert!(detail.len() > 10, "{detail}");
        detail
    }
}

/// Sends a request with the token and an optional JSON body.
async fn ask(desk: &Hospital, method: Method, path: &str, body: Option<Value>) -> Answer {
    let request = desk.daemon.api.request(method, path);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    Answer::of(request.send().await.unwrap()).await
}

async fn get(desk: &Hospital, path: &str) -> Answer {
    ask(desk, Method::GET, path, None).await
}

async fn post(desk: &Hospital, path: &str, body: Value) -> Answer {
    ask(desk, Method::POST, path, Some(body)).await
}

/// Sends bytes as they are and reads until the other side closes or has said `until`.
async fn raw(desk: &Hospital, bytes: &[u8], until: &str) -> String {
    let mut stream = TcpStream::connect(desk.daemon.http).await.unwrap();
    // A refusal may come before everything is sent.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read) = stream.read(&mut piece).await {
        answer.extend_from_slice(&piece[..read]);
        if read == 0 || String::from_utf8_lossy(&answer).contains(until) {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn token(desk: &Hospital) -> String {
    let file = desk.daemon.site().data_dir().join("api.token");
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

/// Uploads a study of the usual patient without naming an order, and waits for the question where it belongs.
async fn waiting_study(desk: &Hospital, seed: u64) -> (String, String, Value) {
    let sample = Sample::with_seed(1, seed);
    let archive = super::desk::zip(&[("IM1", &sample.instance(0))]);
    let api = &desk.daemon.api;
    let id = api.upload("study.zip", archive, &serde_json::json!({})).await;
    let import = api.until_studies(&id, "AwaitingDecision").await;
    (id, sample.study_uid().to_string(), import)
}

/// What must not be told without credentials, nor logged.
fn canaries(desk: &Hospital) -> Vec<String> {
    let sample = desk.world.sample;
    let (item, foreign) = (sample.item(), sample.foreign_patient());
    let mut secrets = vec![
        "usterfrau".to_owned(),
        "MUSTERFRAU".to_owned(),
        sample.birth_date().to_owned(),
        sample.birth_date().replace('-', ""),
        item.accession_number.unwrap().number,
        item.patient.id.unwrap().id,
        foreign.id.unwrap().id,
        sample.study_uid().to_string(),
        "ABC-S1Z-98A".to_owned(),
    ];
    secrets.push(token(desk));
    secrets
}
