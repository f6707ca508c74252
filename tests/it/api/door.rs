//! Who may come in, and what is open to all.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::desk::Hospital;
use super::super::support::eventually;
use super::{Answer, ask, canaries, get, raw, token};

#[tokio::test]
async fn every_route_of_the_document_is_there_and_asks_for_the_token() {
    let desk = Hospital::open().await;
    let document = get(&desk, "/api/v1/openapi.json").await;
    assert_eq!((document.status, document.kind.as_str()), (200, "application/json"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let nobody = "01900000000070008000000000000001";
    for (path, operations) in document.body["paths"].as_object().unwrap() {
        let address = path.replace("{id}", nobody).replace("{studyInstanceUid}", "1.2.3");
        for (method, operation) in operations.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let bare = |token: Option<&str>| {
                let url = format!("http://{}{address}", desk.daemon.http);
                let request = client.request(method.clone(), url);
                match token {
                    Some(token) => request.bearer_auth(token),
                    None => request,
                }
            };
            let answer = Answer::of(bare(None).send().await.unwrap()).await;
            if !path.starts_with("/api/") {
                assert_eq!(answer.status, 200, "{path}");
                continue;
            }
            answer.refused(401);
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
            // With it, the documented statuses and no others.
            let body = json!({"answers": {}, "reason": "x", "reject": true});
            let answer = ask(&desk, method, &address, Some(body)).await;
            let known = operation["responses"].as_object().unwrap();
            assert!(known.contains_key(&answer.status.to_string()), "{path}: {}", answer.status);
            if path.contains("{id}") && answer.status != 415 && answer.status != 400 {
                answer.refused(404);
            }
        }
    }
    get(&desk, "/api/v1/nothing").await.refused(404);
    let answer = ask(&desk, Method::PUT, "/api/v1/imports", None).await;
    answer.refused(405);
    assert!(answer.headers["allow"].to_str().unwrap().contains("POST"));
    let path = format!("/api/v1/imports/{nobody}/error-report");
    ask(&desk, Method::POST, &path, None).await.refused(404);
    desk.close().await;
}

#[tokio::test]
async fn wrong_tokens_wait_and_many_are_turned_away() {
    let desk = Hospital::open().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/api/v1/imports", desk.daemon.http);
    let begun = std::time::Instant::now();
    let sent = (0..24).map(|number| {
        let request = client.get(&url).bearer_auth(format!("{number:064}"));
        async { Answer::of(request.send().await.unwrap()).await }
    });
    let answers = futures_util::future::join_all(sent).await;
    assert!(begun.elapsed().as_millis() >= 1000);
    let (mut wrong, mut many) = (0, 0);
    for answer in answers {
        if answer.status == 429 {
            answer.refused(429);
            assert!(answer.headers.contains_key("retry-after"));
            many += 1;
        } else {
            answer.refused(401);
            wrong += 1;
        }
    }
    assert!(many > 0 && wrong >= 8, "{wrong} wrong, {many} turned away");
    assert_eq!(get(&desk, "/api/v1/imports").await.status, 200, "the right one goes through");
    for header in ["Basic dXNlcg==", "Bearer", "bearer  ", ""] {
        let request = client.get(&url).header("authorization", header);
        Answer::of(request.send().await.unwrap()).await.refused(401);
    }
    let metrics = desk.daemon.api.text("/metrics").await;
    assert!(metrics.contains("lotse_http_wrong_tokens_total"), "{metrics}");
    desk.close().await;
}

#[tokio::test]
async fn names_and_pages_of_others_are_refused() {
    let desk = Hospital::open().await;
    let (http, token) = (desk.daemon.http, token(&desk));
    let with = async |headers: &str| {
        let request = format!(
            "GET /api/v1/imports HTTP/1.1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{headers}\r\n"
        );
        let answer = raw(&desk, request.as_bytes(), "\0").await;
        answer.split(' ').nth(1).unwrap_or("").parse::<u16>().unwrap_or(0)
    };
    let port = http.port();
    assert_eq!(with(&format!("Host: {http}\r\n")).await, 200);
    assert_eq!(with(&format!("Host: localhost:{port}\r\n")).await, 200);
    assert_eq!(with(&format!("Host: {http}\r\nOrigin: http://{http}\r\n")).await, 200);
    for host in [
        "rebound.example.org",
        "127.0.0.1.example.org",
        "127.0.0.1@evil",
        "",
        "[::1",
        "169.254.0.1",
    ] {
        assert_eq!(with(&format!("Host: {host}:{port}\r\n")).await, 403, "{host}");
    }
    assert_eq!(with("").await, 403, "no Host at all");
    assert_eq!(with(&format!("Host: {http}\r\nHost: evil\r\n")).await, 403, "two of them");
    for origin in ["http://evil.example.org", "null", "https://127.0.0.1", "file://"] {
        let headers = format!("Host: {http}\r\nOrigin: {origin}\r\n");
        assert_eq!(with(&headers).await, 403, "{origin}");
    }
    // The open addresses are open to no other name either.
    let request = "GET /status HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n";
    assert!(raw(&desk, request.as_bytes(), "\0").await.starts_with("HTTP/1.1 403"));
    desk.close().await;
}

#[tokio::test]
async fn requests_are_bounded_in_size_and_time() {
    let desk = Hospital::open().await;
    let (http, token) = (desk.daemon.http, token(&desk));
    let head = format!(
        "POST /api/v1/imports HTTP/1.1\r\nHost: {http}\r\nAuthorization: Bearer {token}\r\n"
    );
    let json = format!("{head}Content-Type: application/json\r\n");

    let long = format!("{head}X-Long: {}\r\n\r\n", "a".repeat(200_000));
    assert!(raw(&desk, long.as_bytes(), "\r\n").await.starts_with("HTTP/1.1 431"));
    let many = format!("{head}{}\r\n", "X-Many: 1\r\n".repeat(500));
    assert!(raw(&desk, many.as_bytes(), "\r\n").await.starts_with("HTTP/1.1 431"));
    let declared = format!("{json}Content-Length: 70000\r\n\r\n");
    assert!(raw(&desk, declared.as_bytes(), "\r\n").await.starts_with("HTTP/1.1 413"));
    let chunk = format!("{json}Transfer-Encoding: chunked\r\n\r\n11170\r\n{}", "a".repeat(70_000));
    assert!(raw(&desk, chunk.as_bytes(), "\r\n").await.starts_with("HTTP/1.1 413"));
    assert!(raw(&desk, b"\x16\x03\x01\x02\0\x01", "\r\n").await.starts_with("HTTP/1.1 400"));

    // A header and a body that never end are given up after 15 seconds each.
    let begun = std::time::Instant::now();
    let slow_body = format!("{json}Content-Length: 100\r\n\r\n{{\"link\"");
    let (body, header) =
        tokio::join!(raw(&desk, slow_body.as_bytes(), "\r\n"), raw(&desk, head.as_bytes(), "\r\n"));
    assert!(body.starts_with("HTTP/1.1 408"), "{body}");
    assert!(header.is_empty() || header.starts_with("HTTP/1.1 408"), "{header}");
    assert!((14..25).contains(&begun.elapsed().as_secs()));
    assert_eq!(get(&desk, "/api/v1/imports").await.body["total"], 0);
    desk.close().await;
}

#[tokio::test]
async fn the_open_addresses_tell_no_patient() {
    let desk = Hospital::open().await;
    let api = &desk.daemon.api;
    let patient = desk.world.sample.item().patient.id.unwrap();
    let id = api
        .import_link(&json!({
            "link": desk.world.portal.link(),
            "answers": {"PAT_BIRTH_DATE": desk.world.sample.birth_date()},
            "patient": {"patientId": patient.id, "issuer": patient.issuer},
            "accessionNumber": "A2026004711",
        }))
        .await;
    api.until_state(&id, "Closed").await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut told = String::new();
    for path in ["/healthz", "/readyz", "/status", "/metrics"] {
        let url = format!("http://{}{path}", desk.daemon.http);
        let answer = client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        let text = answer.text().await.unwrap();
        if path == "/status" {
            let status: Value = serde_json::from_str(&text).unwrap();
            for key in [
                "version",
                "uptimeSeconds",
                "imports",
                "studies",
                "queues",
                "destinations",
                "worklist",
            ] {
                assert!(!status[key].is_null(), "{key} in {status}");
            }
            assert_eq!(status["imports"]["Closed"], 1);
            assert_eq!(status["destinations"]["pacs"]["deliveredInstances"], 4, "{status}");
        }
        if path == "/metrics" {
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                assert!(line.starts_with("lotse_"), "{line}");
                let value = line.rsplit(' ').next().unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
            assert!(text.contains("lotse_instances_count{place=\"delivered\"} 3"), "{text}");
        }
        told.push_str(&text);
    }
    told.push_str(&desk.daemon.log());
    for canary in canaries(&desk) {
        assert!(!told.contains(&canary), "{canary} in {told}");
    }
    desk.close().await;
}

#[tokio::test]
async fn a_worklist_that_is_down_is_told() {
    let desk = Hospital::open().await;
    let all = get(&desk, "/api/v1/worklist").await;
    assert_eq!(all.status, 200);
    let items = all.body["items"].as_array().unwrap();
    assert_eq!(items.len(), 4, "{}", all.body);
    for key in
        ["itemId", "patient", "accessionNumber", "requestedProcedure", "modality", "startDate"]
    {
        assert!(!items[0][key].is_null(), "{key}");
    }
    let today = items[0]["startDate"].as_str().unwrap();
    let count = async |query: &str| {
        let answer = get(&desk, &format!("/api/v1/worklist?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        answer.body["items"].as_array().unwrap().len()
    };
    assert_eq!(count(&format!("date={today}")).await, 4);
    assert_eq!(count("date=1999-01-31").await, 0);
    assert_eq!(count("name=beispiel").await, 1);
    assert_eq!(count("name=Musterfrau-Gruen").await, 2);
    for query in ["date=tomorrow", "date=2026-02-30", "patient=1"] {
        get(&desk, &format!("/api/v1/worklist?{query}")).await.refused(400);
    }
    desk.world.ris.set_fault(lotse::sim::ris::Fault::RefuseAssociation);
    let down = get(&desk, "/api/v1/worklist").await;
    // What is kept is told still, with a note as soon as it is no longer of this half minute.
    assert_eq!((down.status, down.body["items"].as_array().unwrap().len()), (200, 4));
    // An import that needs it waits and says so; it is no reason to ask a person.
    let image = desk.world.sample.instance(0);
    let archive = super::super::desk::zip(&[("IM1", &image)]);
    let id = desk.daemon.api.upload("a.zip", archive, &json!({})).await;
    let import = desk.daemon.api.until_studies(&id, "AwaitingWorklist").await;
    let told = import["nextStep"].as_str().unwrap();
    assert!(told.contains("again by itself") || told.contains("being asked"), "{told}");
    eventually("a note in /status", || async {
        let status = get(&desk, "/status").await;
        status.body["worklist"]["notes"]
            .as_array()
            .is_some_and(|notes| !notes.is_empty())
            .then_some(())
    })
    .await;
    desk.world.ris.set_fault(lotse::sim::ris::Fault::None);
    desk.daemon.api.until_studies(&id, "AwaitingDecision").await;
    desk.close().await;
}
