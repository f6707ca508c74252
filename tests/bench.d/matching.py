"""The group `matching`: whose study is it, measured against the truth and against peers.

What the figures mean. A case is one study's header with the patient it is of.

- *decidable*: exactly one local patient fits the damaged header at all, and it is the right one.
- *indistinguishable*: another local patient has the same normalised name, birth date and sex as the header, and the
  right one is absent or has them too. No program can tell; these are counted apart.
- *ambiguous*: everything else: the right one is absent while a neighbour fits, or several fit.
- *wrong*: decided without a person, for another patient or another order than the right one, or where none is right.
  It is counted over decidable and ambiguous cases together: what must not happen may not happen in either.
- With no error in n, the rate is below 3/n (95 %).
"""

import collections
import datetime
import itertools
import json
import os
import subprocess
from pathlib import Path

import people
from stand import ENVIRONMENT, TARGET, fresh

PACKAGES = ["recordlinkage==0.16", "splink==5.0.0"]
HERE = Path(__file__).parent


def environment():
    """The Python environment of the peers, made once: both bring a hundred megabytes."""
    venv = TARGET / "test-env/matching-venv"
    stamp = venv / ".packages"
    if not stamp.exists() or stamp.read_text() != "\n".join(PACKAGES):
        subprocess.run(["python3", "-m", "venv", "--clear", str(venv)], check=True)
        subprocess.run([str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
                       check=True)
        stamp.write_text("\n".join(PACKAGES))
    return venv / "bin/python"


def lines(path, values):
    with open(path, "w") as out:
        for value in values:
            out.write(json.dumps(value, ensure_ascii=False) + "\n")


def decide(room, studies, policy, incomplete=False, parts=os.cpu_count() or 1):
    """What `lotse match` says of each study, by its UID; and what it took. So many processes share the studies: the
    times are computing time of one study, the memory is that of one process."""
    files = [open(room / f"studies{part}", "w") for part in range(parts)]
    for file, value in zip(itertools.cycle(files), studies):
        file.write(json.dumps(value, ensure_ascii=False) + "\n")
    running = []
    for part, file in enumerate(files):
        file.close()
        command = [str(TARGET / "release/lotse"), "match", "--worklist", str(room / "worklist"), "--studies", file.name,
                   "--policy", policy, "--candidates", "1", "--timings"] + ["--incomplete"] * incomplete
        with open(room / f"answers{part}", "wb") as out:
            running.append(subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, env=ENVIRONMENT))
    took, answers = {}, {}
    for part, process in enumerate(running):
        said = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f"lotse match failed: {said[-400:]}")
        told = json.loads(said[said.index("{"):])
        told["peakMiB"] = usage.ru_maxrss / 1024
        # The worst of the parts, for every figure.
        took = {key: max(value, took.get(key, 0)) for key, value in told.items()}
        with open(room / f"answers{part}") as file:
            for line in file:
                answer = json.loads(line)
                kept = {key: answer[key] for key in ("decision", "tier", "patientId", "accessionNumber")}
                kept["first"] = next((found["patientId"] for found in answer["candidates"]), None)
                answers[answer["studyInstanceUid"]] = kept
    return answers, took


class Tally:
    """Counts of one policy over the cases."""

    def __init__(self):
        self.cases = self.automatic = self.wrong = 0

    def add(self, automatic, wrong):
        self.cases += 1
        self.automatic += automatic
        self.wrong += wrong


def judged(case, answer):
    """Whether a person was spared, and whether that was wrong."""
    if answer["decision"] != "automatic":
        return False, False
    right = answer["patientId"] == case.truth and answer["accessionNumber"] == case.order
    return True, not right


def automatic(stage, book, world, kinds, room):
    """Policy `automatic`: nothing is asked for, the header alone speaks."""
    answers, _ = decide(room, map(people.study, world.cases), "automatic")
    by_kind, by_damage = collections.defaultdict(Tally), collections.defaultdict(Tally)
    first, listed = 0, 0
    wrong = []
    for case, kind in zip(world.cases, kinds):
        answer = answers[case.uid]
        spared, error = judged(case, answer)
        by_kind[kind].add(spared, error)
        if kind == "decidable":
            by_damage[case.damage].add(spared, error)
            if not spared:
                listed += 1
                first += answer["first"] == case.truth
        if error and kind != "indistinguishable":
            wrong.append((case, answer))
    report_wrong(wrong)
    told = [by_kind["decidable"], by_kind["ambiguous"]]
    cases = sum(t.cases for t in told)
    book.enter("automatic: wrong decisions", f"of {cases} cases", {"lotse": [sum(t.wrong for t in told)]})
    book.enter("automatic: wrong decisions, decidable", f"of {told[0].cases} cases", {"lotse": [told[0].wrong]})
    book.enter("automatic: upper bound of the rate (3/n)", "1/1e6", {"lotse": [3e6 / cases]})
    same = by_kind["indistinguishable"]
    book.enter("automatic: indistinguishable, decided for another", f"share of {same.cases}",
               {"lotse": [same.wrong / max(same.cases, 1)]})
    right = [by_damage[kind] for kind in people.HARMLESS]
    book.enter("automatic: decided without a person, written correctly", f"share of {sum(t.cases for t in right)}",
               {"lotse": [sum(t.automatic for t in right) / max(sum(t.cases for t in right), 1)]})
    for kind in [*people.HARMLESS, *people.SLIPS]:
        tally = by_damage[kind]
        if tally.cases:
            mark = "" if kind in people.HARMLESS else "slip: "
            book.enter(f"automatic: {mark}{kind}", f"share of {tally.cases}", {"lotse": [tally.automatic / tally.cases]})
    book.enter("list for a person: right patient first", f"share of {listed}", {"lotse": [first / max(listed, 1)]})


def report_wrong(wrong):
    for case, answer in wrong[:10]:
        print(f"tests/bench: wrong: {case.damage}, neighbour {case.near or 'none'}: header {case.name} {case.born} {case.sex}, is "
              f"{case.person.name()} {case.person.born}, tier {answer['tier']}", flush=True)


def with_order(stage, book, world, kinds, room):
    """Policy `automatic-with-order`: three of five requests name the right order, the others a wrong one."""
    r = world.random
    owner = {order.number: p for p in world.patients.values() for order in p.orders}
    numbers = list(owner)
    named = {}
    for case in world.cases:
        roll = r.random()
        if roll < 0.6 and case.order:
            number = case.order
        elif roll < 0.8:
            # The order of somebody who is easily taken for the right one.
            likely = [p for p in world.register.fitting(case) if p.id != case.truth and p.orders]
            number = r.choice(likely).orders[0].number if likely else r.choice(numbers)
        else:
            number = r.choice(numbers)
        named[case.uid] = number
        case.request = {"accessionNumber": number}
    answers, _ = decide(room, map(people.study, world.cases), "automatic-with-order", incomplete=True)
    told, same, held, against, wrong = Tally(), Tally(), 0, 0, []
    right = Tally()
    for case, kind in zip(world.cases, kinds):
        answer = answers[case.uid]
        spared, _ = judged(case, answer)
        local = owner[named[case.uid]]
        error = spared and answer["patientId"] != case.truth
        meant = {p.id for p in world.register.same(case)}
        # The request itself is for another, and its order has the header's name, date and sex: no program can tell.
        (same if local.id != case.truth and local.id in meant else told).add(spared, error)
        if error and not (local.id in meant):
            wrong.append((case, answer))
        if local.id not in {p.id for p in world.register.fitting(case)}:
            against += 1
            held += answer["decision"] != "automatic"
        if named[case.uid] == case.order and case.damage in people.HARMLESS:
            right.add(spared, error)
        case.request = {}
    report_wrong(wrong)
    book.enter("automatic-with-order: wrong decisions", f"of {told.cases} cases", {"lotse": [told.wrong]})
    book.enter("automatic-with-order: upper bound of the rate (3/n)", "1/1e6", {"lotse": [3e6 / told.cases]})
    book.enter("automatic-with-order: request against the header, held", f"share of {against}", {"lotse": [held / max(against, 1)]})
    book.enter("automatic-with-order: wrong request for an indistinguishable patient, decided", f"share of {same.cases}",
               {"lotse": [same.wrong / max(same.cases, 1)]})
    book.enter("automatic-with-order: right request, written correctly, decided", f"share of {right.cases}",
               {"lotse": [right.automatic / max(right.cases, 1)]})


# --- beside peers


def record(identifier, name, born, sex):
    """The alphabetic components as the peers take them."""
    family, given = (name.split("^") + ["", ""])[:2]
    return {"id": identifier, "family": family, "given": given, "born": people.da(born), "sex": sex if sex in ("M", "F") else ""}


def linked(room, local, foreign):
    """What recordlinkage and splink say."""
    lines(room / "local", local)
    lines(room / "foreign", foreign)
    subprocess.run([str(environment()), str(HERE / "linkage.py"), "link", str(room / "local"), str(room / "foreign"),
                    str(room / "linked")], check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads((room / "linked").read_text())


def beside(book, title, truth, answers, peers):
    """Share of studies whose right patient stands first; a tie of k counts as 1/k."""
    shares = {"lotse": [sum(answers[uid]["first"] == right for uid, right in truth.items()) / len(truth)]}
    for name, found in peers.items():
        got = 0.0
        for uid, right in truth.items():
            best = found.get(uid, {"best": []})["best"]
            got += 1 / len(best) if right in best else 0
        shares[name] = [got / len(truth)]
    book.enter(f"{title}: right patient first", f"share of {len(truth)}", shares)


def febrl(stage, book, room):
    """FEBRL 1 to 4 as patients: surname and given name as PN, and the birth date."""
    folder = fresh(room / "febrl")
    subprocess.run([str(environment()), str(HERE / "linkage.py"), "febrl", str(folder)], check=True, env=ENVIRONMENT)

    def read(path):
        found = []
        for line in open(path):
            found.append(json.loads(line))
            # What is no date is no value of a DA element, for any of the subjects.
            try:
                datetime.datetime.strptime(found[-1]["born"], "%Y%m%d")
            except ValueError:
                found[-1]["born"] = ""
        return found

    for number in (1, 2, 3, 4):
        local, foreign = read(folder / f"febrl{number}-local"), read(folder / f"febrl{number}-foreign")
        by_person = {one["person"]: one["id"] for one in local}
        date = lambda text: datetime.datetime.strptime(text, "%Y%m%d").date() if text else None
        patients = [people.Patient(one["id"], one["family"], one["given"], date(one["born"]), "", orders=(people.Order("A" + one["id"][4:-4]),))
                    for one in local]
        lines(room / "worklist", people.items(patients))
        cases = []
        for place, one in enumerate(foreign):
            uid = f"1.2.3.{number}.{place + 1}"
            name = f"{one['family']}^{one['given']}".rstrip("^")
            cases.append((uid, by_person[one["person"]], one, people.Case(uid, name, date(one["born"]), "", "", None, None, id="F")))
        answers, _ = decide(room, (people.study(case) for *_, case in cases), "automatic")
        truth = {uid: right for uid, right, *_ in cases}
        peers = linked(room, [dict(one, sex="") for one in local], [dict(one, id=uid, sex="") for uid, _, one, _ in cases])
        title = f"FEBRL {number}"
        beside(book, title, truth, answers, peers)
        outright(book, title, truth, answers, peers, {})


def outright(book, title, truth, answers, peers, rules):
    """Who is decided without a person, and how often that is wrong; each peer takes a single match of its own."""
    share, wrong = {}, {}

    def enter(name, decided):
        share[name] = [len(decided) / len(truth)]
        wrong[name] = [sum(decided[uid] != truth[uid] for uid in decided)]

    enter("lotse", {uid: a["patientId"] for uid, a in answers.items() if uid in truth and a["decision"] == "automatic"})
    for name, found in {**peers, **rules}.items():
        enter(name, {uid: f["linked"][0] for uid, f in found.items() if uid in truth and len(f["linked"]) == 1})
    book.enter(f"{title}: decided without a person", f"share of {len(truth)}", share)
    book.enter(f"{title}: wrong decisions", f"of {len(truth)} cases", wrong)


def plain_rules(world, cases):
    """Exact match, and the merge rules of dcm4chee: by patient ID and by accession number, whoever issued them."""
    exact, ids, numbers = {}, {}, {}
    for p in world.patients.values():
        exact.setdefault((p.name(), p.born, p.sex), []).append(p.id)
        ids.setdefault(p.id, []).append(p.id)
        for order in p.orders:
            numbers.setdefault(order.number, []).append(p.id)
    found = {"exact match": {}, "dcm4chee rule, patient ID": {}, "dcm4chee rule, accession number": {}}
    for case in cases:
        for name, hits in [("exact match", exact.get((case.name, case.born, case.sex), [])),
                           ("dcm4chee rule, patient ID", ids.get(case.id, [])),
                           ("dcm4chee rule, accession number", numbers.get(case.accession, []))]:
            found[name][case.uid] = {"best": hits, "linked": hits}
    return found


def town(stage, book, room):
    """The generator's patients beside all peers."""
    world = people.World(4711, 1500 if stage.small else 10_000).adversarial(1000 if stage.small else 5000)
    register = people.Register(world)
    cases = [case for case in world.cases if register.kind(case) != "indistinguishable"]
    lines(room / "worklist", people.items(world.patients.values()))
    answers, _ = decide(room, map(people.study, cases), "automatic")
    # The peers are given the name, birth date and sex, so the rules are asked without numbers too where order counts.
    for case in cases:
        case.kept = (case.id, case.issuer, case.accession)
        case.id, case.issuer, case.accession = "F", "", ""
    same_fields, _ = decide(room, map(people.study, cases), "automatic")
    for case in cases:
        case.id, case.issuer, case.accession = case.kept
    local = [record(p.id, p.name(), p.born, p.sex) for p in world.patients.values()]
    peers = linked(room, local, [record(case.uid, case.name, case.born, case.sex) for case in cases])
    truth = {case.uid: case.truth for case in cases}
    decidable = {case.uid: case.truth for case in cases if register.kind(case) == "decidable"}
    beside(book, "town", {uid: right for uid, right in truth.items() if right}, same_fields, peers)
    beside(book, "town, decidable", decidable, same_fields, peers)
    outright(book, "town", truth, answers, peers, plain_rules(world, cases))


def matching(stage, book):
    room = stage.room()
    people_count, count = (2000, 3000) if stage.small else (62_000, 225_000)
    world = people.World(2026, people_count).adversarial(count)
    world.register = people.Register(world)
    kinds = [world.register.kind(case) for case in world.cases]
    lines(room / "worklist", people.items(world.patients.values()))
    automatic(stage, book, world, kinds, room)
    # One process alone, so that another on the same core does not count.
    sample = world.cases[::max(len(world.cases) // 20_000, 1)]
    _, took = decide(room, map(people.study, sample), "automatic", parts=1)
    book.enter(f"one study against {took['items']} items, median", "ms", {"lotse": [took["medianMicros"] / 1e3]})
    book.enter(f"one study against {took['items']} items, p99", "ms", {"lotse": [took["p99Micros"] / 1e3]})
    book.enter(f"index of {took['items']} items", "ms", {"lotse": [took["indexMicros"] / 1e3]})
    book.enter(f"peak memory with {took['items']} items", "MiB", {"lotse": [took["peakMiB"]]})
    with_order(stage, book, world, kinds, room)
    town(stage, book, room)
    febrl(stage, book, room)
