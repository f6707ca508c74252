"""Synthetic patients and what happens to their names on the way: the data of the matching bench.

Nobody here exists: names are frequent ones put together by a seeded generator. A case is a study's header with the
truth beside it. `fitting` and `same` are the bench's own idea of who a header may mean; they share no code with the
rules that are measured.
"""

import collections
import datetime
import functools
import itertools
import random
import unicodedata
from dataclasses import dataclass, field, replace

GERMAN = {
    "family": "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Klein "
    "Wolf Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Schmitt Werner Krause Meier Lehmann "
    "Schmid Schulze Maier Köhler Herrmann König Walter Mayer Huber Kaiser Fuchs Peters Lang Scholz Möller Weiß Jung Hahn "
    "Schubert Vogel Friedrich Keller Günther Frank Berger Winkler Roth Beck Lorenz Baumann Franke Albrecht Schuster Simon "
    "Ludwig Böhm Winter Kraus Martin Schumacher Krämer Vogt Stein Jäger Otto Sommer Groß Seidel Heinrich Brandt Haas "
    "Schreiber Graf Dietrich Ziegler Kuhn Kühn Pohl Engel Horn Busch Bergmann Thomas Voigt Sauer Arnold Wolff Pfeiffer",
    "m": "Peter Michael Thomas Andreas Wolfgang Klaus Jürgen Günter Stefan Christian Uwe Werner Horst Frank Dieter Manfred "
    "Gerhard Hans Bernd Thorsten Matthias Helmut Walter Heinz Martin Jörg Rolf Jens Sven Alexander Jan Rainer Holger Karl "
    "Dirk Joachim Ralf Carsten Herbert Oliver Wilhelm Kurt Markus Heinrich Paul Leon Jonas Max Moritz Björn",
    "f": "Ursula Karin Helga Sabine Ingrid Renate Monika Susanne Gisela Petra Birgit Andrea Anna Brigitte Claudia Erika "
    "Christa Elke Stefanie Gertrud Elisabeth Maria Angelika Heike Gabriele Katrin Ilse Nicole Anja Barbara Hildegard Martina "
    "Ingeborg Gerda Marion Jutta Ute Hannelore Irmgard Christine Inge Christina Silvia Margarete Lena Lisa Hanna Marie "
    "Bärbel Käthe",
}
TURKISH = {
    "family": "Yılmaz Kaya Demir Şahin Çelik Yıldız Yıldırım Öztürk Aydın Özdemir Arslan Doğan Kılıç Aslan Çetin Kara Koç "
    "Kurt Özkan Şimşek Polat Korkmaz Özcan Çakır Erdoğan Aktaş Ünal Güneş Bulut Avcı Işık Tekin Güler Keskin Uçar",
    "m": "Mehmet Mustafa Ahmet Ali Hüseyin Hasan İbrahim İsmail Osman Murat Ömer Ramazan Halil Süleyman Yusuf Emre Kadir Uğur",
    "f": "Fatma Ayşe Emine Hatice Zeynep Elif Meryem Şerife Zehra Sultan Hanife Merve Gülay Özlem Işıl Öznur Büşra Esra Sevgi",
}
POLISH = {
    "family": "Nowak Kowalski Wiśniewski Wójcik Kowalczyk Kamiński Lewandowski Zieliński Szymański Woźniak Dąbrowski Kozłowski "
    "Jankowski Mazur Kwiatkowski Krawczyk Piotrowski Grabowski Nowakowski Pawłowski Michalski Król Wieczorek Jabłoński Wróbel",
    "m": "Jan Stanisław Józef Andrzej Krzysztof Tadeusz Jerzy Marek Piotr Tomasz Paweł Michał Łukasz Grzegorz Zbigniew Mateusz",
    "f": "Anna Maria Katarzyna Małgorzata Agnieszka Krystyna Barbara Ewa Elżbieta Zofia Janina Teresa Joanna Magdalena Żaneta",
}
RUSSIAN = {
    "family": "Иванов Смирнов Кузнецов Попов Васильев Петров Соколов Михайлов Новиков Фёдоров Морозов Волков Алексеев Лебедев "
    "Семёнов Егоров Павлов Козлов Степанов Николаев Орлов Андреев Макаров Захаров Жуков Чернов Шевцов Щукин Цветков Хохлов",
    "m": "Александр Сергей Дмитрий Андрей Алексей Максим Евгений Иван Михаил Юрий Николай Виктор Олег Павел Борис Яков",
    "f": "Анна Елена Ольга Наталья Екатерина Татьяна Мария Ирина Светлана Юлия Людмила Галина Валентина Вера Жанна Яна",
}
ARABIC = {
    "family": "Al-Hassan Ibrahim Khalil Haddad Mansour Nasser Saleh Hamdan Hussein Mahmoud Youssef Khoury Darwish Abbas Osman "
    "Suleiman Al-Ahmad El-Masri Bakr Shaheen Aziz Farah Qasim Rahman Saad Taha Zaki",
    "m": "Mohammed Ahmed Ali Omar Hassan Hussein Khaled Mahmoud Mustafa Yousef Abdullah Ibrahim Samir Tarek Walid Bilal",
    "f": "Fatima Aisha Maryam Zainab Layla Noor Salma Hana Amina Khadija Yasmin Rania Samira Dalia Huda",
}
VIETNAMESE = {
    "family": "Nguyễn Trần Lê Phạm Hoàng Huỳnh Phan Vũ Võ Đặng Bùi Đỗ Hồ Ngô Dương Lý",
    "m": "Văn_An Văn_Hùng Đức_Minh Quốc_Anh Hữu_Phước Minh_Tuấn Thanh_Sơn Quang_Huy Tuấn_Anh Văn_Dũng Xuân_Trường",
    "f": "Thị_Lan Thị_Hương Thị_Mai Ngọc_Anh Thu_Hà Thị_Hồng Bích_Ngọc Kim_Liên Thanh_Thảo Phương_Thảo Thị_Hoa",
}
# Weights of the groups in the population.
GROUPS = [("german", GERMAN, 62), ("turkish", TURKISH, 13), ("polish", POLISH, 8), ("russian", RUSSIAN, 7),
          ("arabic", ARABIC, 6), ("vietnamese", VIETNAMESE, 4)]
# Parts of the many rare German family names.
STEMS = ("Alten Birken Buchen Diet Eber Falken Garten Hagen Hirsch Kessel Kirch Linden Mittel Neuen Ober Ost Rosen Sand Schön "
         "Stein Strauch Teich Unter Wald Wester Wiesen Wind Zeller Brunn Burg Feld Forst Grün Hoch Lauter Mühl Reichen Ritter").split()
ENDINGS = ("bacher berger brecht brink burg dorf dörfer feld felder garten gruber häuser hagen hammer heim heimer hofer holz "
           "horst kamp kötter land lechner maier mann meier moser müller reuter rieder röder schläger schmidt stein steiner "
           "thaler wald weber weg winkel").split()
PARTICLES = ["von", "von der", "van den", "zu", "de"]
TITLES = ["Dr.", "Dr. med.", "Prof. Dr.", "Prof. Dr. med.", "Dipl.-Ing."]
ICAO = dict(zip("абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
                "a b v g d e e zh z i i k l m n o p r s t u f kh ts ch sh shch ie y  e iu ia".split(" ")))

TODAY = datetime.date(2026, 1, 15)


def latin(text):
    """The passport's letters of a Russian name."""
    return " ".join("".join(ICAO[c] for c in word.lower()).capitalize() for word in text.split(" "))


@dataclass(frozen=True)
class Order:
    number: str
    modality: str = "OT"
    description: str = "Fremdaufnahmen"
    status: str = "SCHEDULED"


@dataclass(frozen=True)
class Patient:
    id: str
    family: str
    given: str
    born: datetime.date | None
    sex: str
    group: str = "german"
    cyrillic: str = ""
    orders: tuple = ()
    suffix: str = ""
    birth_name: str = ""

    def name(self):
        parts = [self.family, self.given, "", "", self.suffix]
        return "^".join(parts).rstrip("^")


@dataclass
class Case:
    uid: str
    name: str
    born: datetime.date | None
    sex: str
    damage: str
    truth: str | None
    """The right patient's ID; None if no local patient is right."""
    person: Patient
    order: str | None = None
    modality: str = "CT"
    description: str = ""
    id: str = ""
    issuer: str = ""
    accession: str = ""
    request: dict = field(default_factory=dict)
    typed: str = ""
    near: str = ""
    """What kind of neighbour the right patient has."""
    words: tuple = ()
    """The normal form of the name as the header shows it; empty if it is unreadable."""


# --- people


class World:
    """A worklist's patients, and cases of them."""

    def __init__(self, seed, people, rare=0.45):
        self.random = random.Random(seed)
        self.rare = rare
        self.numbers = itertools.count(1)
        self.patients = {}
        self.gone = {}
        self.cases = []
        for _ in range(people):
            self.admit(self.somebody())

    def admit(self, patient):
        self.patients[patient.id] = patient
        return patient

    def number(self):
        return f"{next(self.numbers):07d}"

    def somebody(self):
        r = self.random
        name, group, _ = r.choices(GROUPS, [weight for _, _, weight in GROUPS])[0]
        sex = r.choice("MF")
        families = group["family"].split()
        # The first are the frequent ones.
        family = families[min(int(r.expovariate(3 / len(families))), len(families) - 1)]
        given = r.choice(group[sex.lower()].split()).replace("_", " ")
        cyrillic = ""
        if name == "german":
            if r.random() < self.rare:
                family = r.choice(STEMS) + r.choice(ENDINGS)
            roll = r.random()
            if roll < 0.04:
                family = f"{r.choice(PARTICLES)} {family}"
            elif roll < 0.10:
                family = f"{family}-{r.choice(families)}"
            if r.random() < 0.15:
                given = f"{given}{r.choice(' -')}{r.choice(group[sex.lower()].split())}"
        elif name == "polish" and sex == "F" and family.endswith("ski"):
            family = family[:-1] + "a"
        elif name == "russian":
            if sex == "F":
                family += "а"
            cyrillic = f"{family}^{given}"
            family, given = latin(family), latin(given)
        days = int(r.triangular(0, 100, 68) * 365.25)
        born = TODAY - datetime.timedelta(days=days + r.randrange(365))
        if r.random() < 0.02:
            born = born.replace(month=1, day=1)
        return Patient(self.number(), family, given, born, sex, name, cyrillic, self.orders())

    def orders(self):
        r = self.random
        first = Order("A" + self.number())
        roll = r.random()
        if roll < 0.25:
            first = replace(first, modality=r.choice(["CT", "MR"]))
        if roll < 0.03:
            other = "MR" if first.modality == "CT" else "CT"
            return (first, Order("A" + self.number(), other, "LWS"))
        if roll > 0.985:
            return (first, Order("A" + self.number()))
        return (first,)

    # --- near misses

    def neighbour(self, p):
        """Somebody who is easily taken for `p`, with the kind of likeness."""
        r = self.random
        group = dict((name, names) for name, names, _ in GROUPS)[p.group]
        fresh = dict(id=self.number(), orders=self.orders(), cyrillic="", birth_name="")
        others = [n.replace("_", " ") for n in group[p.sex.lower()].split() if n.replace("_", " ") != p.given]
        if p.group == "russian":
            others = [latin(n) for n in others]
        kind = r.choice(["twin", "twin", "father", "junior", "married", "day apart", "digit apart", "day and month swapped",
                         "registered twice", "namesake on 1 January", "sibling of two names"])
        year = datetime.timedelta(days=365)
        if kind == "twin":
            alike = [n for n in others if n[:2] == p.given[:2] or n[-2:] == p.given[-2:]]
            return kind, replace(p, given=r.choice(alike or others), **fresh)
        if kind == "father":
            return kind, replace(p, born=p.born - year * r.randrange(20, 40), **fresh)
        if kind == "junior":
            return kind, replace(p, born=p.born - year * r.randrange(20, 40), suffix="sen.", **fresh)
        if kind == "married":
            family = r.choice(GERMAN["family"].split())
            return kind, replace(p, family=family if family != p.family else "Ehrlich", **fresh)
        if kind == "day apart":
            return kind, replace(p, born=p.born + datetime.timedelta(days=r.choice([-1, 1])), **fresh)
        if kind == "digit apart":
            return kind, replace(p, born=digit_off(r, p.born), **fresh)
        if kind == "day and month swapped" and p.born.day <= 12 and p.born.day != p.born.month:
            return kind, replace(p, born=p.born.replace(month=p.born.day, day=p.born.month), **fresh)
        if kind == "registered twice":
            return kind, replace(p, **fresh)
        if kind == "namesake on 1 January":
            return kind, replace(p, born=p.born.replace(month=1, day=1), **fresh)
        return "sibling of two names", replace(p, given=f"{p.given} {r.choice(others)}", **fresh)

    def adversarial(self, count):
        """So many cases: two of three have a neighbour in the worklist, and in one of six the right one is not there."""
        r = self.random
        people = list(self.patients.values())
        for number in range(count):
            p = people[number % len(people)]
            if p.id not in self.patients:
                p = self.admit(self.somebody())
            near = ""
            if number < len(people) and r.random() < 0.66:
                near, other = self.neighbour(p)
                self.admit(other)
                if r.random() < 0.25:
                    self.gone[p.id] = self.patients.pop(p.id)
            self.cases.append(self.case(number, p, near))
        return self

    def case(self, number, p, near, damage=None):
        r = self.random
        order = r.choice(p.orders) if p.orders else None
        here = p.id in self.patients
        case = Case(f"1.2.826.0.1.3680043.8.498.{number + 1}", p.name(), p.born, p.sex, "", p.id if here else None, p,
                    order.number if here and order else None, near=near)
        if order and order.modality != "OT":
            case.modality, case.description = order.modality, order.description
        case.words = normal(p.name())
        while True:
            kind = damage or r.choice(HARMLESS if r.random() < 0.55 else SLIPS)
            if DAMAGE[kind](r, case, p):
                case.damage = kind
                break
            damage = None
        case.id = "F" + str(r.randrange(10**7))
        roll = r.random()
        if roll < 0.05:  # a number of another house that happens to be a local one
            case.id, case.issuer = r.choice(list(self.sample(3))).id, r.choice(["", "ANDERES HAUS"])
        elif roll < 0.15:
            case.id, case.issuer = p.id, "HOUSE"
        elif roll < 0.18:  # the number of another house's order is a local one
            somebody = next(iter(self.sample(1)))
            case.accession = somebody.orders[0].number if somebody.orders else ""
        return case

    def sample(self, count):
        if not getattr(self, "listed", None) or self.random.random() < 0.0001:
            self.listed = list(self.patients.values())
        return self.random.sample(self.listed, count)


# --- damage: each gives False where it does not apply


def digit_off(r, day):
    while True:
        text = list(day.strftime("%Y%m%d"))
        at = r.randrange(2, 8)
        text[at] = r.choice("0123456789")
        try:
            made = datetime.datetime.strptime("".join(text), "%Y%m%d").date()
        except ValueError:
            continue
        if made != day and made <= TODAY:
            return made


def both(change):
    """A change of family and given name."""
    def apply(r, case, p):
        made = change(p.family) + "^" + change(p.given)
        if made == f"{p.family}^{p.given}" and change is not str:
            return False
        case.name = made + (f"^^^{p.suffix}" if p.suffix else "")
        return True
    return apply


def transcribed(text):
    pairs = zip("äöüÄÖÜß", ["ae", "oe", "ue", "Ae", "Oe", "Ue", "ss"])
    for letter, written in pairs:
        text = text.replace(letter, written)
    return text


def bare(text):
    text = text.replace("ß", "ss").replace("ł", "l").replace("Ł", "L").replace("ı", "i").replace("đ", "d").replace("Đ", "D")
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def named(make):
    def apply(r, case, p):
        made = make(r, p)
        if not made:
            return False
        case.name = made
        return True
    return apply


def unreadable(make):
    """The name says less than it did: the header's own words are what is left."""
    def apply(r, case, p):
        made = make(r, p)
        if not made or made == p.name():
            return False
        case.name, case.words = made, normal(made)
        return True
    return apply


def dated(make):
    def apply(r, case, p):
        made = make(r, p)
        if made == p.born:
            return False
        case.born = made
        return True
    return apply


def typo(r, word):
    letters = [i for i, c in enumerate(word) if c.isalpha() and i]
    if len(letters) < 3:
        return None
    at = r.choice(letters[:-1])
    kind = r.randrange(4)
    if kind == 0:
        return word[:at] + word[at + 1:]
    if kind == 1:
        return word[:at] + word[at] + word[at:]
    if kind == 2:
        return word[:at] + word[at + 1] + word[at] + word[at + 2:]
    return word[:at] + r.choice("aeinrstl") + word[at + 1:]


def misspelt(r, p):
    family, given = p.family, p.given
    if r.random() < 0.5:
        family = typo(r, family)
    else:
        given = typo(r, given)
    return f"{family}^{given}" if family and given else None


def garbled(text):
    try:
        return text.encode().decode("latin-1") if not text.isascii() else None
    except UnicodeError:
        return None


def din(text):
    return text.translate(str.maketrans("äöüßÄÖÜ", "{|}~[\\]"))


def sex_unknown(r, case, p):
    case.sex = r.choice(["", "O"])
    return True


def sex_wrong(r, case, p):
    case.sex = "F" if p.sex == "M" else "M"
    return True


def swap_day(r, p):
    ok = p.born.day <= 12
    return p.born.replace(month=p.born.day, day=p.born.month) if ok else p.born


def compound(r, p):
    parts = p.family.split("-")
    return None if len(parts) != 2 else "^".join([r.choice([f"{parts[1]}-{parts[0]}", " ".join(parts)]), p.given])


def with_particle(r, p):
    *particle, name = p.family.split(" ")
    if not particle:
        return None
    words = " ".join(particle)
    return r.choice([f"{name}^{p.given}", f"{name}^{p.given}^^{words}", f"{p.family.upper()}^{p.given.upper()}"])


def second_dropped(r, p):
    first, *rest = p.given.replace("-", " ").split(" ")
    return f"{p.family}^{first}" if rest else None


DAMAGE = {
    "as written": lambda r, case, p: True,
    "capitals": both(str.upper),
    "umlauts transcribed": both(transcribed),
    "capitals, transcribed": both(lambda text: transcribed(text).upper()),
    "accents dropped": both(bare),
    "decomposed Unicode": both(lambda text: unicodedata.normalize("NFD", text)),
    "title before the family name": named(lambda r, p: f"{r.choice(TITLES)} {p.family}^{p.given}"),
    "title as prefix": named(lambda r, p: f"{p.family}^{p.given}^^{r.choice(TITLES)}"),
    "particle left out or moved": named(with_particle),
    "components swapped": named(lambda r, p: f"{p.given}^{p.family}"),
    "comma in one component": named(lambda r, p: f"{p.family}, {p.given}"),
    "compound reordered": named(compound),
    "second name as middle name": named(
        lambda r, p: f"{p.family}^{'^'.join(p.given.split(' ', 1))}" if " " in p.given else None),
    "Cyrillic": named(lambda r, p: p.cyrillic),
    "former name beside": named(
        lambda r, p: f"{p.family} geb. {r.choice(GERMAN['family'].split())}^{p.given}" if p.sex == "F" else None),
    "sex unknown": sex_unknown,
    "misspelt": unreadable(misspelt),
    "misspelt twice": unreadable(
        lambda r, p: "^".join(filter(None, [typo(r, p.family), typo(r, p.given)])) if len(p.given) > 3 else None),
    "second name left out": unreadable(second_dropped),
    "initial only": unreadable(lambda r, p: f"{p.family}^{p.given[0]}"),
    "given name missing": unreadable(lambda r, p: p.family),
    "cut at 16": unreadable(lambda r, p: p.name()[:16] if len(p.name()) > 16 and len(p.family) < 14 else None),
    "mojibake": unreadable(lambda r, p: garbled(p.name())),
    "DIN 66003": unreadable(lambda r, p: din(p.name())),
    "question marks": unreadable(lambda r, p: p.name().encode("ascii", "replace").decode()),
    "former name": unreadable(lambda r, p: f"{r.choice(GERMAN['family'].split())}^{p.given}" if p.sex == "F" else None),
    "placeholder": unreadable(lambda r, p: r.choice(["UNKNOWN", "NOTFALL^23", "ANONYM^001", "XXX^XXX"])),
    "day and month swapped": dated(swap_day),
    "digit of the date wrong": dated(lambda r, p: digit_off(r, p.born)),
    "a day off": dated(lambda r, p: p.born + datetime.timedelta(days=r.choice([-1, 1]))),
    "1 January": dated(lambda r, p: p.born.replace(month=1, day=1)),
    "no birth date": dated(lambda r, p: None),
    "another birth date": dated(lambda r, p: p.born - datetime.timedelta(days=r.randrange(800, 9000))),
    "sex wrong": sex_wrong,
}
HARMLESS = list(DAMAGE)[:list(DAMAGE).index("misspelt")]
SLIPS = [kind for kind in DAMAGE if kind not in HARMLESS]

# --- who may be meant: the bench's own idea

DROPPED = {"dr", "prof", "med", "dipl", "ing", "von", "van", "der", "den", "zu", "de", "al", "el", "sen", "jun"}


def normal(name):
    """The words of a name, coarsely: case, accents, transcriptions, titles, particles and order do not count."""
    text = name.lower().replace("ß", "ss").replace("ı", "i").replace("ł", "l").replace("đ", "d")
    if any("а" <= c <= "я" or c == "ё" for c in text):
        text = "".join(ICAO.get(c, c) for c in text)
    text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    for vowel in "aou":
        text = text.replace(vowel + "e", vowel)
    words = "".join(c if c.isalnum() else " " for c in text.replace("'", "")).split()
    return tuple(sorted(word for word in words if word not in DROPPED))


@functools.lru_cache(maxsize=None)
def written(day):
    return day.strftime("%Y%m%d")


def slip(a, b):
    """Whether one slip makes one date of the other, or one of them is unknown."""
    if a is None or b is None or a == b:
        return True
    x, y = written(a), written(b)
    return (sum(l != r for l, r in zip(x, y)) == 1 or abs((a - b).days) == 1 or x == y[:4] + y[6:] + y[4:6]
            or (a.year == b.year and (x[4:] == "0101" or y[4:] == "0101")))


@functools.lru_cache(maxsize=None)
def letters(words):
    return collections.Counter("".join(words))


def near_words(a, b):
    """At most two letters lost, added or changed between words that stand for each other."""
    x, y = letters(a), letters(b)
    return abs(x.total() - y.total()) <= 4 and (x - y).total() + (y - x).total() <= 4


class Register:
    """The worklist's patients by what a header may show of them."""

    def __init__(self, world):
        self.patients = world.patients
        self.words = {p.id: normal(p.name()) for p in world.patients.values()}
        self.by_date, self.by_pair = {}, {}
        self.known = {}
        for p in world.patients.values():
            self.by_date.setdefault(p.born, []).append(p)
            for pair in itertools.combinations(self.words[p.id], 2):
                self.by_pair.setdefault(pair, []).append(p)

    def fitting(self, case):
        """Every local patient whom the header may mean at all."""
        if case.uid in self.known:
            return self.known[case.uid]
        found = {}
        for p in self.by_date.get(case.born, []) if case.born else []:
            words = self.words[p.id]
            if not case.words or set(words) & set(case.words) or near_words(words, case.words):
                found[p.id] = p
        for pair in itertools.combinations(case.words, 2):
            for p in self.by_pair.get(pair, []):
                if slip(p.born, case.born):
                    found[p.id] = p
        self.known[case.uid] = [p for p in found.values() if not {p.sex, case.sex} == {"M", "F"}]
        return self.known[case.uid]

    def same(self, case):
        """Every local patient of the header's normal name, birth date and sex."""
        return [p for p in self.by_date.get(case.born, []) if self.words[p.id] == case.words
                and not {p.sex, case.sex} == {"M", "F"}]

    def kind(self, case):
        """`decidable`, `indistinguishable` or `ambiguous`."""
        same = {p.id for p in self.same(case)}
        others = same - {case.truth}
        if others and (case.truth is None or case.truth in same):
            return "indistinguishable"
        fitting = {p.id for p in self.fitting(case)}
        return "decidable" if case.truth and fitting == {case.truth} else "ambiguous"


# --- as DICOM JSON (PS3.18 F)


def text(vr, *values):
    return {"vr": vr, "Value": list(values)} if any(values) else {"vr": vr}


def da(day):
    return day.strftime("%Y%m%d") if day else ""


def person(name):
    return {"vr": "PN", "Value": [{"Alphabetic": name}]} if name else {"vr": "PN"}


def items(patients):
    for p in patients:
        for order in p.orders:
            yield {
                "00080050": text("SH", order.number), "00100010": person(p.name()), "00100020": text("LO", p.id),
                "00100021": text("LO", "HOUSE"), "00100030": text("DA", da(p.born)), "00100040": text("CS", p.sex),
                "00401001": text("SH", "RP" + order.number), "00321060": text("LO", order.description),
                "00400100": {"vr": "SQ", "Value": [{
                    "00080060": text("CS", order.modality), "00400002": text("DA", "20260115"),
                    "00400020": text("CS", order.status)}]},
            }


def study(case):
    line = {"study": {
        "0020000D": text("UI", case.uid), "00080060": text("CS", case.modality), "00100010": person(case.name),
        "00100020": text("LO", case.id), "00100021": text("LO", case.issuer), "00100030": text("DA", da(case.born)),
        "00100040": text("CS", case.sex), "00080050": text("SH", case.accession),
        "00081030": text("LO", case.description), "00080020": text("DA", "20260110")}}
    if case.request:
        line["request"] = case.request
    return line
