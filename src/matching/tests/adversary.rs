//! A seeded town of namesakes, twins and slips. The long form, over 100,000 cases and more kinds of damage, is
//! `tests/bench matching`.

use super::*;

/// Numbers that are the same on every machine (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[usize::try_from(self.roll(list.len() as u64)).unwrap()]
    }
}

const FAMILIES: [&str; 20] = [
    "Müller",
    "Meyer",
    "Schäfer",
    "Groß",
    "Weiß",
    "Köhler",
    "Bauer",
    "Meier-Schmidt",
    "von der Heide",
    "Yılmaz",
    "Şahin",
    "Öztürk",
    "Wójcik",
    "Kowalska",
    "Ivanova",
    "Nguyễn",
    "Al-Hassan",
    "Samuel",
    "Krüger",
    "Le",
];
const GIVENS: [&str; 16] = [
    "Anna",
    "Hanna",
    "Johanna",
    "Anna Lena",
    "Lena",
    "Lisa",
    "Hans",
    "Hans-Peter",
    "Peter",
    "Jürgen",
    "Ayşe",
    "Mehmet",
    "Văn An",
    "Jörg",
    "Maria",
    "Marina",
];

struct Someone {
    name: (String, String),
    born: jiff::civil::Date,
    sex: Sex,
}

impl Someone {
    fn any(dice: &mut Dice) -> Self {
        let day = |dice: &mut Dice, sides| i8::try_from(1 + dice.roll(sides)).unwrap();
        let year = 1930 + i16::try_from(dice.roll(90)).unwrap();
        let (month, of_month) =
            if dice.roll(20) == 0 { (1, 1) } else { (day(dice, 12), day(dice, 28)) };
        Self {
            name: (dice.of(&FAMILIES).to_owned(), dice.of(&GIVENS).to_owned()),
            born: jiff::civil::date(year, month, of_month),
            sex: if dice.roll(2) == 0 { Sex::Female } else { Sex::Male },
        }
    }

    /// Somebody who is easily taken for this one.
    fn neighbour(&self, dice: &mut Dice) -> Self {
        let (mut name, mut born) = (self.name.clone(), self.born);
        match dice.roll(6) {
            0 | 1 => name.1 = dice.of(&GIVENS).to_owned(),
            2 => name.0 = dice.of(&FAMILIES).to_owned(),
            3 => born = born.tomorrow().unwrap(),
            4 => born = jiff::civil::date(born.year() - 28, born.month(), born.day()),
            _ => born = jiff::civil::date(born.year(), 1, 1),
        }
        Self { name, born, sex: self.sex }
    }

    fn item(&self, id: usize) -> Item {
        let name = format!("{}^{}", self.name.0, self.name.1);
        let born = self.born.strftime("%Y%m%d").to_string();
        item(&format!("P{id}"), &format!("A{id}"), &name, &born, self.sex)
    }

    /// The header as it comes, and whether its name and date are right up to the normalisations.
    fn header(&self, dice: &mut Dice) -> (Case, bool) {
        let (family, given) = (self.name.0.as_str(), self.name.1.as_str());
        let transcribed = |text: &str| {
            [("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")]
                .iter()
                .fold(text.to_owned(), |text, (letter, written)| text.replace(letter, written))
        };
        let mut born = self.born;
        let mut right = true;
        let name = match dice.roll(12) {
            0 => format!("{family}^{given}").to_uppercase(),
            1 => transcribed(&format!("{family}^{given}")).to_uppercase(),
            2 => format!("Dr. med. {family}^{given}"),
            3 => format!("{given}^{family}"),
            4 => format!("{family}, {given}"),
            slip @ 5..=8 => {
                right = false;
                match slip {
                    5 => format!("{}^{given}", family.replacen(['e', 'a', 'o'], "", 1)),
                    6 => format!("{family}^{}", given.split(' ').next().unwrap()),
                    7 => format!("{}^{given}", dice.of(&FAMILIES)),
                    _ => {
                        born = self.born.tomorrow().unwrap();
                        format!("{family}^{given}")
                    }
                }
            }
            _ => format!("{family}^{given}"),
        };
        let born = born.strftime("%Y%m%d").to_string();
        (case(&name, &born, self.sex), right)
    }
}

/// Whether the header shows exactly this person: words without case, accents, titles and order.
fn shows(case: &Case, someone: &Item) -> bool {
    let words = |patient: &Patient| {
        let name = patient.name.as_ref().unwrap().as_str().to_lowercase();
        let plain = name
            .replace('ß', "ss")
            .replace('ı', "i")
            .chars()
            .map(|c| any_ascii::any_ascii_char(c).to_owned())
            .collect::<String>()
            .replace("ae", "a")
            .replace("oe", "o")
            .replace("ue", "u");
        let mut words: Vec<String> = plain
            .split(|c: char| !c.is_alphanumeric())
            .filter(|w| !["", "dr", "med", "von", "der", "al"].contains(w))
            .map(str::to_owned)
            .collect();
        words.sort();
        words
    };
    let header = &case.facts.patient;
    let local = &someone.patient;
    header.birth_date == local.birth_date
        && compare::sexes(header.sex, local.sex) != Agreement::Different
        && words(header) == words(local)
}

#[test]
fn no_wrong_patient_in_a_town_of_namesakes() {
    let mut dice = Dice(2026);
    let mut items = Vec::new();
    let mut people: Vec<(Someone, Option<usize>)> = Vec::new();
    for _ in 0..1500 {
        let someone = Someone::any(&mut dice);
        if dice.roll(3) > 0 {
            items.push(someone.neighbour(&mut dice).item(items.len()));
        }
        // One of six is not in the worklist, but the neighbour is.
        let place = (dice.roll(6) > 0).then_some(items.len());
        if place.is_some() {
            items.push(someone.item(items.len()));
        }
        people.push((someone, place));
    }
    let index = Index::new(items);
    let (mut decidable, mut decided, mut right_ones, mut told_apart) = (0, 0, 0, 0);
    for (someone, place) in people.iter().cycle().take(3000) {
        let (mut case, right) = someone.header(&mut dice);
        let order = place.map(|place| &index.items()[place]);
        let same: Vec<&Item> = index.items().iter().filter(|item| shows(&case, item)).collect();
        let others = same.iter().any(|item| Some(*item) != order);
        let indistinguishable = others && order.is_none_or(|order| same.contains(&order));
        let outcome = index.decide(&case, Completeness::Complete, Policy::Automatic);
        if outcome.verdict == Verdict::Automatic && !indistinguishable {
            assert_eq!(
                Some(&outcome.candidates[0].item.patient.id),
                order.map(|order| &order.patient.id),
                "decided for the wrong one: {}",
                outcome.reason
            );
            decided += usize::from(right);
        }
        told_apart += usize::from(!indistinguishable);
        if let Some(order) = order.filter(|_| right && !others) {
            decidable += 1;
            right_ones += usize::from(outcome.candidates[0].item == *order);
        }
        // A request for somebody else's order is held, whoever it is.
        let stranger =
            &index.items()[usize::try_from(dice.roll(index.items().len() as u64)).unwrap()];
        let number = stranger.accession_number.as_ref().unwrap().number.clone();
        if Some(stranger) != order && !shows(&case, stranger) {
            case.witnesses.requested_accession_number = Some(number);
            let asked = index.decide(&case, Completeness::Complete, Policy::AutomaticWithOrder);
            assert_eq!(asked.verdict, Verdict::Person, "{}", asked.reason);
        }
    }
    assert!(told_apart > 2200 && decidable > 1000, "{told_apart} {decidable}");
    // The town is far denser than any hospital: most of those who are held have a namesake near.
    assert!(decided * 100 >= decidable * 50, "{decided} of {decidable}");
    assert!(right_ones * 100 >= decidable * 99, "{right_ones} of {decidable}");
}
