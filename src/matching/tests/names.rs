use super::*;

#[test]
fn names_that_are_equal_after_normalisation() {
    for (a, b) in [
        ("Müller^Hans", "MUELLER^HANS"),
        ("Müller^Hans", "Muller^Hans"),
        ("Mueller^Hans", "Muller^Hans"),
        ("Mu\u{308}ller^Hans", "Müller^Hans"),
        ("Groß^Jürgen", "GROSS^JUERGEN"),
        ("Dr. von der Heide^Anna", "Heide^Anna"),
        ("von der Heide^Anna^^Dr. med.", "VON DER HEIDE^ANNA"),
        ("Heide^Anna von der", "von der Heide^Anna"),
        ("Heide^Anna^^von der", "vonderheide^Anna"),
        ("Meier-Schmidt^Eva", "Schmidt Meier^Eva"),
        ("Meier-Schmidt^Eva", "MeierSchmidt^Eva"),
        ("Hans^Müller", "Müller^Hans"),
        ("Müller, Hans", "Müller^Hans"),
        ("Hans Müller", "Müller^Hans"),
        ("Müller^Hans^Peter", "Müller^Hans Peter"),
        ("Müller^Hans-Peter", "Müller^Hans Peter"),
        ("Prof. Dr. med. Müller^Hans", "Müller^Hans"),
        ("O'Brien^Sean", "OBRIEN^SEAN"),
        ("Yıldız^İbrahim", "YILDIZ^IBRAHIM"),
        ("Şahin^Gülay", "Sahin^Guelay"),
        ("Çağlar^Öznur", "CAGLAR^OZNUR"),
        ("Özdemir^Işıl", "Oezdemir^Isil"),
        ("Łukasiewicz^Paweł", "LUKASIEWICZ^PAWEL"),
        ("Nguyễn^Văn An", "NGUYEN^VAN AN"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada^Tarou=山田^太郎=ヤマダ^タロウ"),
        ("=山田^太郎", "=山田^太郎=やまだ^たろう"),
        ("Иванов^Иван", "Ivanov^Ivan"),
        ("Чайковский^Юрий", "Tschaikowskii^Jurii"),
        ("Щукина^Жанна", "Shchukina^Zhanna"),
        ("Παπαδόπουλος^Νίκος", "Papadopoulos^Nikos"),
        ("やまだ^はなこ", "Yamada^Hanako"),
        ("Müller geb. Schmidt^Eva", "Müller^Eva"),
        ("Müller (Schmidt)^Eva", "Mueller^Eva"),
        ("Sen^Amartya", "SEN^AMARTYA"),
        ("Le^Minh", "LE^MINH"),
        ("Nguyên^Van An", "Nguyễn^Văn An"),
        ("Sørensen^Åse", "Sörensen^Aase"),
        ("Ionaşcu^Ioan", "Ionașcu^Ioan"),
        ("Weber^Annamaria", "Weber^Anna Maria"),
        ("von derHeide^Anna", "von der Heide^Anna"),
    ] {
        assert!(agrees(name(a, b)), "{a} and {b}: {:?}", name(a, b));
    }
    assert_eq!(name("Müller^Hans^^", "Müller^Hans"), Agreement::Equal);
}

#[test]
fn names_that_are_only_close() {
    for (a, b) in [
        ("Meier^Hans", "Maier^Hans"),
        ("DÄbrowska^Zofia", "Dąbrowska^Zofia"),
        ("Weber^Silvi aSusanne", "Weber^Silvia Susanne"),
        ("Westerriede-rHuber^Ilse", "Westerrieder-Huber^Ilse"),
        ("Meier-Schmidt^Eva", "Meier^Eva"),
        ("Müller^Anna", "Müller^Anna Maria"),
        ("Müller^H", "Müller^Hans"),
        ("Müller", "Müller^Hans"),
        ("Müller", "Müller"),
        ("Müller^Baby", "Müller^Lena"),
        ("Müller^Sohn", "Müller^Sohn"),
        ("Müller^Maedchen", "Müller^Maedchen"),
        ("Müller^Saeugling", "Müller^Säugling"),
        ("Müller^Sohn von Anna", "Müller^Sohn von Anna"),
        ("Müller^Tochter^von Anna", "MUELLER^TOCHTER VON ANNA"),
        ("Müller^Kind", "Müller^Kind"),
        ("Müller^Baby von Anna", "Müller^Baby von Anna"),
        ("Müller^Infant", "Müller^Infant"),
        ("Müller^Neugeb.", "Müller^Neugeb."),
        ("Müller^Zwillinge", "Müller^Zwillinge"),
        ("Müller^Zwilling1", "Müller^Zwilling1"),
        ("Müller^2. Kind von Anna", "Müller^2. Kind von Anna"),
        ("Müller^Kind", "Kind^Müller"),
        ("Müller^Kind", "Müller^Lena"),
        ("Müller^Hans jun.", "Müller^Hans^^^sen."),
        ("von Berg^Ida", "van den Berg^Ida"),
        ("MÃ¼ller^Hans", "Müller^Hans"),
        ("OsthÃ¤user^KÃ¤the", "Osthäuser^Käthe"),
        ("M}ller^Hans", "Müller^Hans"),
        ("MÃƒÂ¼ller^Hans", "Müller^Hans"),
        ("Þahin^Ayþe", "Şahin^Ayşe"),
        ("M?ller^Hans", "Müller^Hans"),
        ("Schmidt^Eva", "Müller geb. Schmidt^Eva"),
        ("Müller^Eva", "Schmidt (geb. Müller)^Eva"),
        ("محمد^أحمد", "Mohammed^Ahmed"),
        ("Rajapakse-Wickre^Kumara", "Rajapakse-Wickremasinghe^Kumara"),
        ("Bauer^Eva", "Baur^Eva"),
        ("Michael^Eva", "Michal^Eva"),
        ("Smith^John=山田^太郎", "Yamada^Taro=山田^太郎"),
    ] {
        assert_eq!(name(a, b), Agreement::Similar, "{a} and {b}");
    }
}

#[test]
fn names_that_differ_or_say_nothing() {
    for (a, b) in [
        ("Müller^Hans", "Müller^Karin"),
        ("Müller^Anna", "Schmidt^Anna"),
        ("von der Au^Max", "von der Ahe^Max"),
        ("Yılmaz^Ayşe", "Yıldırım^Ayşe"),
        // Twins, told apart.
        ("Müller^Zwilling Anna", "Müller^Zwilling Bea"),
        ("Müller^2. Kind Anna", "Müller^Kind Bea"),
    ] {
        assert_eq!(name(a, b), Agreement::Different, "{a} and {b}");
    }
    for placeholder in [
        "UNKNOWN",
        "ANONYM^001",
        "NOTFALL^23",
        "Test^Patient",
        "XXX",
        "X^X",
        "NN",
        "12345",
        "Unbekannt^",
    ] {
        assert_eq!(name(placeholder, "Müller^Hans"), Agreement::Missing, "{placeholder}");
        assert_eq!(name(placeholder, placeholder), Agreement::Missing, "{placeholder}");
    }
    // Homophones and unwritten vowels prove nothing.
    assert_eq!(name("山田^太郎", "Yamada^Tarou"), Agreement::Missing);
    assert_eq!(name("محمد^أحمد", "Haddad^Khalil"), Agreement::Missing);
    assert_eq!(name("Иванов^Иван", "Petrow^Pjotr"), Agreement::Different);
}

#[test]
fn hostile_names_are_bounded() {
    for text in [
        "^".repeat(100_000),
        "a ".repeat(100_000),
        "ä".repeat(100_000),
        "\u{308}".repeat(100_000),
        "=".repeat(1000) + "x",
        "\r\n\u{1b}[31m<script>^\u{202e}x".to_owned(),
    ] {
        let _ = name(&text, &text);
        let _ = name(&text, "Müller^Hans");
    }
}

#[test]
fn birth_dates() {
    let date = BirthDate::parse;
    for (a, b, expected) in [
        ("19700305", "19700305", Agreement::Equal),
        ("19700305", "19700503", Agreement::Similar),
        ("19700305", "19700306", Agreement::Similar),
        ("19700309", "19700310", Agreement::Similar),
        ("19700309", "19700311", Agreement::Different),
        ("19700101", "19700503", Agreement::Similar),
        ("19700101", "19700101", Agreement::Equal),
        ("19000101", "19700503", Agreement::Missing),
        ("19000101", "19000101", Agreement::Missing),
        ("00000000", "19700503", Agreement::Missing),
        ("19500305", "19800412", Agreement::Different),
    ] {
        assert_eq!(compare::birth_dates(date(a), date(b)), expected, "{a} {b}");
        assert_eq!(compare::birth_dates(date(b), date(a)), expected, "{b} {a}");
    }
}

#[test]
fn patient_ids_agree_only_within_one_issuer() {
    let id = |id: &str, issuer: Option<&str>| PatientId {
        id: id.into(),
        issuer: issuer.map(str::to_owned),
    };
    let local = id("0042", Some("HOUSE"));
    let check = |header: PatientId| {
        identifiers::patient_ids(&[(&header).into()], Some(&local), Some("1.2.3"))
    };
    assert_eq!(check(id("0042", Some("HOUSE"))), Agreement::Equal);
    assert_eq!(check(id("0042", Some("1.2.3"))), Agreement::Equal);
    assert_eq!(check(id("0042", None)), Agreement::Similar);
    assert_eq!(check(id("0042", Some("OTHER"))), Agreement::Missing);
    assert_eq!(check(id("42", Some("HOUSE"))), Agreement::Similar);
    assert_eq!(check(id("43", Some("HOUSE"))), Agreement::Different);
    assert_eq!(check(id("43", None)), Agreement::Missing);
}

#[test]
fn two_ids_of_one_issuer_are_not_trusted_in_any_order() {
    let id = |id: &str| PatientId { id: id.into(), issuer: Some("KH".into()) };
    let insured = |id: &str| PatientId { id: id.into(), issuer: None };
    let against = |header: [&PatientId; 3], local: &PatientId| {
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let told = orders.map(|order| {
            identifiers::patient_ids(&order.map(|at| header[at].into()), Some(local), None)
        });
        assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
        told[0]
    };
    let (a, b, c) = (id("123"), id("999"), id("998"));
    assert_eq!(against([&a, &b, &a], &a), Agreement::Similar);
    assert_eq!(against([&a, &b, &a], &b), Agreement::Similar);
    assert_eq!(against([&a, &b, &c], &a), Agreement::Similar);
    assert_eq!(against([&b, &b, &c], &a), Agreement::Different);
    assert_eq!(against([&a, &a, &a], &a), Agreement::Equal);
    // One number with zeros in front is weaker than one that says who it is.
    assert_eq!(against([&id("0123"), &a, &a], &a), Agreement::Equal);
    assert_eq!(against([&id("0123"), &b, &b], &a), Agreement::Different);
    assert_eq!(against([&id("0123"), &insured("7"), &insured("7")], &a), Agreement::Similar);
    // Two insured persons.
    let (x, y) = (insured("A123456780"), insured("C000000006"));
    assert_eq!(against([&x, &y, &x], &x), Agreement::Similar);
    assert_eq!(against([&x, &a, &x], &x), Agreement::Equal);
}

#[test]
fn words_that_sound_alike_share_a_code() {
    use super::super::phonetic::cologne;
    for (a, b) in
        [("muller", "miller"), ("meier", "mayer"), ("schmidt", "schmitt"), ("philipp", "filip")]
    {
        assert_eq!(cologne(a), cologne(b), "{a} {b}");
    }
    assert_ne!(cologne("muller"), cologne("schmidt"));
    for short in ["", "li", "eva", "山田"] {
        assert_eq!(cologne(short), None, "{short}");
    }
}
