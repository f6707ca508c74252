use super::*;

#[test]
fn the_first_start_creates_it_and_the_next_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.token");
    let first = ApiToken::load_or_create(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.len(), 65);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let second = ApiToken::load_or_create(&path).unwrap();
    assert!(first.matches(text.trim()) && second.matches(text.trim()));
    assert!(!second.matches("") && !second.matches(&text) && !second.matches(&"0".repeat(64)));
    assert_eq!(format!("{second:?}"), "ApiToken(redacted)");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.token");
    ApiToken::load_or_create(&path).unwrap();
    for mode in [0o644, 0o640, 0o604, 0o620] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = ApiToken::load_or_create(&path).unwrap_err();
        assert!(matches!(error, Error::TokenReadable { .. }));
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}

#[test]
fn what_is_no_token_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.token");
    for text in ["", "\n", "short", &"g".repeat(64), &"0".repeat(65), &"0".repeat(5000)] {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let error = ApiToken::load_or_create(&path).unwrap_err();
        assert!(matches!(error, Error::TokenMalformed { .. }));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_symbolic_link_and_a_missing_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("real");
    ApiToken::load_or_create(&real).unwrap();
    let link = folder.path().join("api.token");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    assert!(matches!(ApiToken::load_or_create(&link), Err(Error::Token { .. })));
    let lost = folder.path().join("no/api.token");
    assert!(matches!(ApiToken::load_or_create(&lost), Err(Error::Token { .. })));
}

#[test]
fn left_over_halves_do_not_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api.token.new"), "half").unwrap();
    assert!(ApiToken::load_or_create(&folder.path().join("api.token")).is_ok());
}

#[test]
fn random_text_does_not_repeat() {
    assert_ne!(*random_hex().unwrap(), *random_hex().unwrap());
}
