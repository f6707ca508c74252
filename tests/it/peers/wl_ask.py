"""wl_ask.py PORT CALLED CASES: pynetdicom as asker. CASES is a JSON list of {name, keys, step, code, fuzzy}.

All cases go over one association, the fuzzy ones over a second one that negotiates it. Prints one JSON line a case:
{name, status, pending, steps, names, charsets}.
"""
import json
import sys

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

CLASS = "1.2.840.10008.5.1.4.31"


def put(ds, keys):
    for keyword, value in keys.items():
        if value and "\\" in value:
            value = value.split("\\")
        ds.add_new(tag_for_keyword(keyword), dictionary_VR(tag_for_keyword(keyword)), value)


def identifier(case):
    ds = Dataset()
    put(ds, {"PatientName": "", **case["keys"]})
    step = Dataset()
    put(step, {"ScheduledProcedureStepID": "", **case["step"]})
    ds.ScheduledProcedureStepSequence = [step]
    if case["code"]:
        item = Dataset()
        put(item, case["code"])
        ds.RequestedProcedureCodeSequence = [item]
    return ds


def ask(port, called, cases, fuzzy):
    if not cases:
        return
    ae = AE(ae_title="MODALITY")
    ae.add_requested_context(CLASS)
    options = []
    if fuzzy:
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid, item.service_class_application_information = CLASS, b"\x01\x01\x01\x01"
        options.append(item)
    association = ae.associate("127.0.0.1", port, ae_title=called, ext_neg=options)
    assert association.is_established
    agreed = association.acceptor.sop_class_extended.get(CLASS)
    assert agreed == (b"\x01\x01\x01\x00" if fuzzy else None), agreed
    for case in cases:
        answer = {"name": case["name"], "status": None, "pending": [], "steps": [], "names": [], "charsets": []}
        for status, found in association.send_c_find(identifier(case), CLASS):
            code = status.Status
            if code not in (0xFF00, 0xFF01):
                answer["status"] = code
                answer["comment"] = status.get("ErrorComment", "")
                continue
            answer["pending"].append(code)
            found.decode()
            answer["steps"].append(found.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID)
            answer["names"].append(str(found.PatientName))
            answer["charsets"].append(str(found.get("SpecificCharacterSet", "~")))
        print(json.dumps(answer))
    association.release()


def main():
    port, called = int(sys.argv[1]), sys.argv[2]
    cases = json.load(open(sys.argv[3], encoding="utf-8"))
    ask(port, called, [case for case in cases if not case["fuzzy"]], False)
    ask(port, called, [case for case in cases if case["fuzzy"]], True)


main()
