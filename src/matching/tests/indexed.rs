use proptest::prelude::*;

use super::lexicon::{Lexicon, Token};
use super::normalise::Name;
use super::properties::{any_case, any_item};
use super::*;

fn told(outcome: &Outcome) -> String {
    serde_json::to_string(outcome).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_index_finds_whom_a_scan_finds(
        case in any_case(),
        items in prop::collection::vec(any_item(), 1..24),
        complete in any::<bool>(),
    ) {
        let completeness = if complete { Completeness::Complete } else { Completeness::Incomplete };
        let index = Index::new(items);
        // Without a name and a date there is nobody to look for, and anybody is shown.
        prop_assume!(case.facts.patient.name.is_some() && case.facts.patient.birth_date.is_some());
        let found = index.decide(&case, completeness, Policy::Automatic);
        let scanned = index.over_the_plausible(&case, completeness, Policy::Automatic);
        prop_assert_eq!(told(&found), told(&scanned));
    }

    #[test]
    fn whom_the_index_leaves_out_changes_no_decision(
        case in any_case(),
        items in prop::collection::vec(any_item(), 0..24),
        complete in any::<bool>(),
    ) {
        let completeness = if complete { Completeness::Complete } else { Completeness::Incomplete };
        let index = Index::new(items);
        let found = index.decide(&case, completeness, Policy::Automatic);
        let scanned = index.over_everything(&case, completeness, Policy::Automatic);
        let automatic = |outcome: &Outcome| (outcome.verdict == Verdict::Automatic).then(|| {
            (outcome.tier, outcome.candidates[0].item.clone())
        });
        prop_assert_eq!(automatic(&found), automatic(&scanned));
    }
}

/// Words that meet in every way: alike, run together, initials, particles, umlauts and what they are written as.
fn any_part() -> impl Strategy<Value = String> {
    let words = [
        "Müller",
        "Mueller",
        "Muller",
        "Mull",
        "Er",
        "J",
        "Jo",
        "Johann",
        "Jo Hann",
        "Anna Maria",
        "Annamaria",
        "von Berg",
        "vonberg",
        "Berg",
        "Maria",
        "Däb",
        "Dąb",
        "Bäuer",
        "Baeuer",
        "Bäuer-Schmidt",
        "Baeuerschmidt",
        "Baby",
        "Weiß geb. Berg",
        "Weiss",
        "Silvi aAnna",
        "Hochstetter-Adam",
        "Hochst",
        "",
    ];
    prop::sample::select(words.to_vec()).prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn what_is_said_to_differ_differs(
        a in (any_part(), any_part()),
        b in (any_part(), any_part()),
        cut in prop::option::of(1..16_usize),
    ) {
        let mut lexicon = Lexicon::default();
        let a = format!("{}^{}", a.0, a.1);
        let kept = cut.unwrap_or(usize::MAX);
        let a: String = a.chars().take(kept).collect();
        let mut read = |text: &str| {
            let name = PersonName::new(text)?;
            let name = Name::new(&name, &mut lexicon);
            let words = name.found_by(&mut lexicon);
            Some((differ::Clarity::of(&name), name, words))
        };
        let (Some((x, a, ours)), Some((y, b, theirs))) = (read(&a), read(&format!("{}^{}", b.0, b.1)))
        else {
            return Ok(());
        };
        let alike = |word: &Token, other: &Token| {
            word.close(other) || word.sound.is_some() && word.sound == other.sound
        };
        let shared = ours.iter().filter(|word| theirs.iter().any(|other| alike(word, other)));
        let shared = shared.count();
        let compared = compare::names(Some(&a), Some(&b)).agreement;
        if shared == 0 && differ::without_a_word(x, y, || (Some(&a), Some(&b))) {
            prop_assert_eq!(compared, Agreement::Different);
        }
        if shared <= 1 && differ::with_one_word(x, y) {
            prop_assert_eq!(compared, Agreement::Different);
        }
    }
}

#[test]
fn a_large_worklist_is_searched_not_walked() {
    // Letters from the number, so that words differ by more than a slip of the finger.
    let word = |mut n: u32| {
        let syllables = ["ba", "do", "fi", "gu", "ke", "lo", "mi", "nu", "pa", "ro", "si", "tu"];
        let mut text = String::from("x");
        for _ in 0..5 {
            text.push_str(syllables[(n % 12) as usize]);
            n /= 12;
        }
        text
    };
    let items: Vec<Item> = (0..5000_u32)
        .map(|n| {
            let born = format!("{}{:02}{:02}", 1930 + n % 80, 1 + n % 12, 1 + n % 28);
            let name = format!("{}^{}", word(n * 7919 % 200_000), word(n % 97 * 1031));
            item(&format!("P{n}"), &format!("A{n}"), &name, &born, Sex::Female)
        })
        .collect();
    let index = Index::new(items);
    for n in [5, 17, 4999] {
        let wanted = index.items()[n].clone();
        let name = wanted.patient.name.as_ref().unwrap().as_str().to_uppercase();
        let born = wanted.patient.birth_date.unwrap().to_dicom();
        let outcome = index.decide(
            &case(&name, &born, Sex::Female),
            Completeness::Complete,
            Policy::Automatic,
        );
        assert_eq!(outcome.verdict, Verdict::Automatic, "{}", outcome.reason);
        assert_eq!(outcome.candidates[0].item, wanted);
        // A wrong birth date: found by the words of the name.
        let wrong = case(&name, "19140823", Sex::Female);
        let outcome = index.decide(&wrong, Completeness::Complete, Policy::Automatic);
        assert_eq!(outcome.verdict, Verdict::Person);
        assert_eq!(outcome.candidates[0].item, wanted);
    }
}
