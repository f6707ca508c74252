use super::*;

#[test]
fn a_length_elsewhere_is_found_behind_and_before() {
    for (front, back) in [("", "\n2 0 obj 9 endobj"), ("2 0 obj 9 endobj", "")] {
        let file = format!(
            "%PDF-1.7\n{front}\n1 0 obj <</Length 2 0 R>>\nstream\nendstream\nendstream\n{back}"
        );
        let searched = Cell::new(SEARCHED);
        let mut reader = Reader { file: file.as_bytes(), at: 0, keywords: KEYWORDS, searched };
        assert_eq!(reader.next_stream().unwrap().data, b"endstream", "{file}");
        // What is searched through is over once.
        let searched = Cell::new(1);
        let mut reader = Reader { file: file.as_bytes(), at: 0, keywords: KEYWORDS, searched };
        assert_eq!(reader.next_stream().unwrap().data, b"", "{file}");
    }
}
