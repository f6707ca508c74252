//! A one-page PDF with a synthetic report.

const LINES: [&str; 6] = [
    "Radiologie am Markt",
    "Befund CT Thorax nativ vom 15.09.2026",
    "Patientin: Erika Musterfrau-Gruen, geb. 12.08.1964",
    "Kein frischer pneumonischer Infiltrathinweis.",
    "Rundherd rechts im Unterfeld, 8 mm. Kontrolle in drei Monaten empfohlen.",
    "(Dies ist ein kuenstlicher Befund zu einem Phantom.)",
];

/// PDF 1.4 with a standard font and a correct cross-reference table.
pub(super) fn pdf() -> Vec<u8> {
    let mut page = String::from("BT /F1 12 Tf 60 780 Td 18 TL\n");
    for line in LINES {
        let escaped = line.replace('\\', "\\\\").replace('(', "\\(").replace(')', "\\)");
        page.push_str(&format!("({escaped}) Tj T*\n"));
    }
    page.push_str("ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{page}\nendstream", page.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut file = String::from("%PDF-1.4\n");
    let mut table = String::from("0000000000 65535 f \n");
    for (number, object) in (1..).zip(&objects) {
        table.push_str(&format!("{:010} 00000 n \n", file.len()));
        file.push_str(&format!("{number} 0 obj\n{object}\nendobj\n"));
    }
    let at = file.len();
    let size = objects.len() + 1;
    file.push_str(&format!(
        "xref\n0 {size}\n{table}trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{at}\n%%EOF\n"
    ));
    file.into_bytes()
}
