"""The one invented patient of these tests, as the foreign institution and as we know him."""

FOREIGN = {
    "PatientID": "X77-123",
    "PatientName": "Müßig^Jürgen",
    "PatientBirthDate": "19561105",
    "PatientSex": "M",
    "AccessionNumber": "FREMD-5",
}
LOCAL = {
    "PatientID": "4711007",
    "PatientName": "MÜSSIG^JÜRGEN",
    "PatientBirthDate": "19561105",
    "PatientSex": "M",
    "AccessionNumber": "A2026-31415",
}
# Of the same patient; its entry refers to the study that was planned for it.
SECOND_ORDER = "A2026-27182"


def give(ds, identity_removed=False):
    """Makes a data set one of the foreign institution's, about this patient.

    Most of pydicom's files say that their identity was removed, which contradicts a name; `identity_removed`
    leaves that in.
    """
    ds.SpecificCharacterSet = "ISO_IR 100"
    for keyword, value in FOREIGN.items():
        setattr(ds, keyword, value)
    gone = () if identity_removed else ("PatientIdentityRemoved", "DeidentificationMethod")
    for keyword in (*gone, "OtherPatientIDs", "OtherPatientNames", "IssuerOfPatientID", "PatientAge"):
        if keyword in ds:
            delattr(ds, keyword)
