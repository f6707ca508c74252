//! Holds the tables of `conformance/` against the tests that they name.

use super::support::root;

/// The tables with their rows: DLX has nineteen of version 1 and the two other versions; coercion has the attributes of
/// an imported object and the rules around them; matching the rungs of the ladder.
const TABLES: [(&str, usize); 3] = [("dlx.md", 21), ("coercion.md", 50), ("matching.md", 21)];

/// The tests that a line of a table names, as `(file, function)`.
fn named(line: &str) -> Vec<(String, String)> {
    let quoted = line.split('`').skip(1).step_by(2);
    let tests = quoted.filter_map(|quoted| quoted.split_once(".rs#"));
    tests.map(|(file, function)| (format!("{file}.rs"), function.to_owned())).collect()
}

fn is_a_test(file: &str, function: &str) -> bool {
    let Ok(text) = std::fs::read_to_string(root().join(file)) else { return false };
    let Some((before, _)) = text.split_once(&format!("fn {function}(")) else { return false };
    // The attribute stands right above, with no other function between.
    let above = before.rsplit("\n}").next().unwrap_or("");
    above.contains("#[test]") || above.contains("#[tokio::test")
}

#[test]
fn every_row_of_the_tables_has_tests_that_exist() {
    for (table, count) in TABLES {
        check(table, count);
    }
}

fn check(table: &str, count: usize) {
    let table = std::fs::read_to_string(root().join("conformance").join(table)).unwrap();
    let numbered = |line: &&str| {
        let number = line.strip_prefix("| ").and_then(|line| line.split(' ').next());
        number.is_some_and(|number| number.parse::<usize>().is_ok())
    };
    let rows: Vec<&str> = table.lines().filter(numbered).collect();
    for (at, row) in rows.iter().enumerate() {
        assert!(row.starts_with(&format!("| {} |", at + 1)), "{row}");
        let tests = named(row);
        assert!(!tests.is_empty(), "no test: {row}");
        for (file, function) in tests {
            assert!(is_a_test(&file, &function), "there is no test {function} in {file}");
        }
    }
    assert_eq!(rows.len(), count);
}

#[test]
fn what_is_no_test_is_told() {
    assert!(is_a_test("tests/it/conformance.rs", "what_is_no_test_is_told"));
    assert!(!is_a_test("tests/it/conformance.rs", "is_a_test"));
    assert!(!is_a_test("tests/it/conformance.rs", "not_there"));
    assert!(!is_a_test("tests/it/nowhere.rs", "what_is_no_test_is_told"));
}
