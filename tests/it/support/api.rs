//! The HTTP API over TCP, with the token, as a program of the hospital uses it.

use std::net::SocketAddr;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use super::eventually;

#[derive(Clone)]
pub struct Api {
    client: Client,
    base: String,
    token: String,
}

impl Api {
    pub fn new(address: SocketAddr, token: &str) -> Self {
        lotse::tls::install_provider();
        let client = Client::builder().no_proxy().timeout(super::PATIENCE).build().unwrap();
        Self { client, base: format!("http://{address}"), token: token.to_owned() }
    }

    /// By HTTPS; whom it trusts is not this client's matter.
    pub fn over_tls(address: SocketAddr, token: &str) -> Self {
        let client = Client::builder().no_proxy().timeout(super::PATIENCE);
        let client = client.tls_danger_accept_invalid_certs(true).build().unwrap();
        Self { client, base: format!("https://{address}"), token: token.to_owned() }
    }

    /// A request with the token, for what the methods below do not do.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// The status code of a GET; 0 if nobody answers.
    pub async fn status(&self, path: &str) -> u16 {
        self.request(Method::GET, path).send().await.map_or(0, |answer| answer.status().as_u16())
    }

    /// The text of an answer that has to be a success.
    pub async fn text(&self, path: &str) -> String {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "GET {path}: {status} {text}");
        text
    }

    pub async fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).unwrap()
    }

    /// Status code and body (null if there is none).
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.request(Method::POST, path).json(body).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Starts an import by link (or whatever the request says) and gives its identifier.
    pub async fn import_link(&self, request: &Value) -> String {
        let (status, body) = self.post("/api/v1/imports", request).await;
        assert_eq!(status, 202, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Uploads a file as multipart/form-data with a request, and gives the identifier of the import.
    pub async fn upload(&self, name: &str, bytes: Vec<u8>, request: &Value) -> String {
        let file = reqwest::multipart::Part::bytes(bytes).file_name(name.to_owned());
        let form =
            reqwest::multipart::Form::new().text("request", request.to_string()).part("file", file);
        let sent = self.request(Method::POST, "/api/v1/imports").multipart(form).send();
        let answer = sent.await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 202, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().unwrap().to_owned()
    }

    pub async fn import(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/imports/{id}")).await
    }

    /// All of the first page, newest first.
    pub async fn imports(&self) -> Vec<Value> {
        self.get("/api/v1/imports").await["imports"].as_array().unwrap().clone()
    }

    /// Waits until the import looks as wanted, and gives it.
    pub async fn until(&self, id: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let last = std::sync::Mutex::new(Value::Null);
        let waited = eventually(what, || async {
            let import = self.import(id).await;
            let fits = fits(&import);
            last.lock().unwrap().clone_from(&import);
            fits.then_some(import)
        });
        let seen = SeenLast(&last);
        let import = waited.await;
        std::mem::forget(seen);
        import
    }

    /// Waits until the import is in this state.
    pub async fn until_state(&self, id: &str, state: &str) -> Value {
        self.until(id, &format!("import in state {state}"), |import| import["state"] == state).await
    }

    /// Waits until every study of the import (one at least) is in this state.
    pub async fn until_studies(&self, id: &str, state: &str) -> Value {
        self.until(id, &format!("studies in state {state}"), |import| {
            let studies = import["studies"].as_array().map_or(&[][..], Vec::as_slice);
            !studies.is_empty() && studies.iter().all(|study| study["state"] == state)
        })
        .await
    }

    /// Waits for the newest import that arrived by association from this peer.
    pub async fn until_from(&self, peer: &str) -> String {
        eventually(&format!("an import from {peer}"), || async {
            let imports = self.imports().await;
            let found = imports.iter().find(|import| import["source"] == peer);
            found.map(|import| import["id"].as_str().unwrap().to_owned())
        })
        .await
    }
}

/// Shows the last state when a wait fails.
struct SeenLast<'a>(&'a std::sync::Mutex<Value>);

impl Drop for SeenLast<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let last = self.0.lock().map(|last| last.clone()).unwrap_or_default();
            eprintln!(
                "last seen: {} {} {} set aside: {}",
                last["state"], last["nextStep"], last["counts"], last["setAside"]
            );
            for study in last["studies"].as_array().into_iter().flatten() {
                eprintln!(
                    "  study {} {} {} matching: {} {} foreign: {} deliveries: {}",
                    study["studyInstanceUid"],
                    study["state"],
                    study["nextStep"],
                    study["matching"],
                    study["candidates"],
                    study["foreign"],
                    study["deliveries"]
                );
            }
        }
    }
}
