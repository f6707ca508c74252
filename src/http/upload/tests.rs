use super::*;

fn body(chunks: Vec<Result<Bytes, std::io::Error>>) -> Body {
    Body::from_stream(stream::iter(chunks))
}

fn chunk(length: usize) -> Result<Bytes, std::io::Error> {
    Ok(Bytes::from(vec![b'a'; length]))
}

fn meter(limit: u64) -> Meter {
    Meter::new(limit, Duration::from_millis(100))
}

async fn drain(body: Body, meter: &Meter, uses: bool) -> Result<usize, std::io::Error> {
    let mut stream = Box::pin(metered(body, meter.clone()));
    let mut total = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if uses {
            meter.use_up(&chunk);
        }
        total += chunk.len();
    }
    Ok(total)
}

#[tokio::test]
async fn a_body_passes_whole_within_its_limit() {
    let meter = meter(u64::MAX);
    let chunks = (0..64).map(|_| chunk(64 * 1024)).collect();
    assert_eq!(drain(body(chunks), &meter, true).await.unwrap(), 64 * 64 * 1024);
}

#[tokio::test]
async fn too_large_a_body_stops_at_its_limit() {
    let meter = meter(450);
    let chunks = (0..10).map(|_| chunk(100)).collect();
    assert!(drain(body(chunks), &meter, true).await.is_err());
    assert_eq!(meter.problem().status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn what_nobody_takes_out_is_not_piled_up() {
    let meter = meter(u64::MAX);
    let chunks = (0..64).map(|_| chunk(64 * 1024)).collect();
    assert!(drain(body(chunks), &meter, false).await.is_err());
    assert_eq!(meter.problem().status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_silent_body_is_given_up() {
    let meter = meter(u64::MAX);
    let silent = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    assert!(drain(silent, &meter, true).await.is_err());
    assert_eq!(meter.problem().status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_an_error() {
    let meter = meter(u64::MAX);
    let chunks = vec![chunk(10), Err(std::io::ErrorKind::UnexpectedEof.into())];
    assert!(drain(body(chunks), &meter, true).await.is_err());
    assert_eq!(meter.problem().status, StatusCode::BAD_REQUEST);
}

#[test]
fn what_is_declared_too_large_is_not_begun() {
    let body = Body::from(vec![0; 500]);
    assert!(meter(500).check_declared(&body).is_ok());
    let problem = meter(499).check_declared(&body).unwrap_err();
    assert_eq!(problem.status, StatusCode::PAYLOAD_TOO_LARGE);
}

async fn multipart(text: String, meter: &Meter) -> Multipart {
    let chunks = text.into_bytes().chunks(1000).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    let request = Request::builder()
        .header("content-type", "multipart/form-data; boundary=B")
        .body(Body::from_stream(metered(body(chunks), meter.clone())))
        .unwrap();
    Multipart::from_request(request, &()).await.unwrap()
}

#[tokio::test]
async fn a_part_without_end_of_its_header_is_refused() {
    let meter = meter(u64::MAX);
    let text = format!("--B\r\nContent-Disposition: form-data; name=\"{}", "x".repeat(3 << 20));
    let mut parts = multipart(text, &meter).await;
    assert!(parts.next_field().await.is_err());
    assert_eq!(meter.problem().status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn text_before_the_file_is_small() {
    let meter = meter(u64::MAX);
    let part = |text: &str| {
        format!(
            "--B\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{text}\r\n--B--\r\n"
        )
    };
    let mut parts = multipart(part("{}"), &meter).await;
    let field = parts.next_field().await.unwrap().unwrap();
    assert_eq!(small_part(field, &meter).await.unwrap(), b"{}");
    let mut parts = multipart(part(&"x".repeat(JSON_LIMIT + 1)), &meter).await;
    let field = parts.next_field().await.unwrap().unwrap();
    let problem = small_part(field, &meter).await.unwrap_err();
    assert_eq!(problem.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn an_input_that_nobody_used_is_no_file() {
    let meter = meter(u64::MAX);
    let text = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\
                Content-Type: application/octet-stream\r\n\r\n\r\n--B--\r\n";
    let mut parts = multipart(text.to_owned(), &meter).await;
    assert!(is_unchosen(&parts.next_field().await.unwrap().unwrap()));
}

#[test]
fn names_are_one_short_line() {
    assert_eq!(shown_name(Some("study.zip")), "study.zip");
    assert_eq!(shown_name(Some("a\r\nb\0\u{1b}[31m.zip")), "ab[31m.zip");
    assert_eq!(shown_name(Some(" \n ")), "upload");
    assert_eq!(shown_name(None), "upload");
    assert_eq!(shown_name(Some(&"ä".repeat(9000))).chars().count(), NAME_LENGTH);
}
