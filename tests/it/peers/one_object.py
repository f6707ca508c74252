"""Sends one small object of a patient given on standard input (JSON: keyword -> text) by C-STORE.

Usage: one_object.py HOST PORT CALLING CALLED. Prints the status in hexadecimal.
"""

import json
import sys

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
from pynetdicom import AE

host, port, calling, called = sys.argv[1:]
given = json.load(sys.stdin)
meta = FileMetaDataset()
meta.TransferSyntaxUID = ExplicitVRLittleEndian
meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
meta.MediaStorageSOPInstanceUID = generate_uid()
data = Dataset()
data.file_meta = meta
data.SpecificCharacterSet = "ISO_IR 192"
data.SOPClassUID = SecondaryCaptureImageStorage
data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
data.SeriesInstanceUID = generate_uid()
data.StudyDate = "20260901"
data.Modality = "OT"
data.SamplesPerPixel = 1
data.PhotometricInterpretation = "MONOCHROME2"
data.Rows = data.Columns = 16
data.BitsAllocated = data.BitsStored = 8
data.HighBit = 7
data.PixelRepresentation = 0
data.PixelData = bytes(256)
for keyword, text in given.items():
    setattr(data, keyword, text)
ae = AE(ae_title=calling)
ae.add_requested_context(SecondaryCaptureImageStorage, ExplicitVRLittleEndian)
association = ae.associate(host, int(port), ae_title=called)
if not association.is_established:
    sys.exit("no association")
status = association.send_c_store(data)
association.release()
print(f"{status.Status:04x}" if status else "none")
