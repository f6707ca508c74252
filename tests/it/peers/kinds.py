"""kinds.py FOLDER: one object of every kind that an examination brings along, made from nothing.

Three studies of invented patients: `kinds` has one object a kind, `texts` the character sets, transfer syntaxes and
histories that make coercion hard, `orders` is for two orders at once. Everything is the same every time: UIDs follow from the name, pixels from the
place. Objects refer to each other as real ones do.
"""
import pathlib
import sys

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian,
    JPEGBaseline8Bit, MPEG4HP41, generate_uid,
)

SOP = "1.2.840.10008.5.1.4.1.1."
# What a private class is called by nobody but its maker.
PRIVATE_CLASS = "1.3.12.2.1107.5.9.1"


def uid(*names):
    return generate_uid(entropy_srcs=["lotse kinds", *names])


def item(**values):
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def code(value, scheme, meaning):
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def reference(sop_class, name, **more):
    return item(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=uid("instance", name), **more)


def noise(length):
    return bytes((7 * i + i // 251) % 253 for i in range(length))


class Study:
    def __init__(self, folder, name, institution):
        self.folder, self.name, self.institution = folder, name, institution
        self.number = 0

    def new(self, name, sop_class, modality, syntax=ExplicitVRLittleEndian, **values):
        """Patient, study, series, equipment and SOP common as a foreign institution writes them."""
        self.number += 1
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = sop_class
        meta.MediaStorageSOPInstanceUID = uid("instance", name)
        meta.TransferSyntaxUID = syntax
        meta.ImplementationClassUID = "1.2.3.4"
        meta.FileMetaInformationVersion = b"\0\1"
        ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SpecificCharacterSet = "ISO_IR 100"
        ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid("instance", name)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid("study", self.name), uid("series", name)
        ds.FrameOfReferenceUID = uid("frame", self.name)
        ds.StudyDate = ds.SeriesDate = ds.ContentDate = "20240131"
        ds.StudyTime = ds.SeriesTime = ds.ContentTime = "101112"
        ds.AccessionNumber = "FREMD-5"
        ds.Modality = modality
        ds.Manufacturer = "Hersteller"
        ds.InstitutionName = self.institution
        ds.ReferringPhysicianName = "Zuweiser^Zoë"
        ds.StudyDescription = "Schädel und Gefäße"
        ds.SeriesDescription = name
        ds.PatientName = "Müßig^Jürgen"
        ds.PatientID, ds.IssuerOfPatientID = "X77-123", "FERN"
        ds.PatientBirthDate, ds.PatientSex = "19561105", "M"
        ds.PatientAge, ds.PatientWeight, ds.PatientSize = "067Y", "81.5", "1.79"
        ds.StudyID = "4711"
        ds.SeriesNumber, ds.InstanceNumber = self.number, 1
        ds.RequestedProcedureDescription = "Fremde Anforderung"
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        return ds

    def write(self, name, ds):
        folder = self.folder / self.name
        folder.mkdir(parents=True, exist_ok=True)
        little = ds.file_meta.TransferSyntaxUID != ExplicitVRBigEndian
        implicit = ds.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        ds.set_original_encoding(implicit, little, ds.SpecificCharacterSet if "SpecificCharacterSet" in ds else None)
        ds.save_as(folder / f"{name}.dcm", enforce_file_format=True)


def image(ds, rows=8, columns=8, bits=16, frames=None, samples=1, photometric="MONOCHROME2"):
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = samples, photometric
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated, ds.BitsStored = bits, min(bits, 12) if bits == 16 else bits
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, 0
    if samples > 1:
        ds.PlanarConfiguration = 0
    if frames:
        ds.NumberOfFrames = frames
    ds.PixelData = noise(max(1, rows * columns * samples * (frames or 1) * bits // 8))
    ds["PixelData"].VR = "OB" if bits <= 8 else "OW"
    return ds


def plane(ds):
    ds.PixelSpacing, ds.SliceThickness = [0.5, 0.5], 3
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [0, 0, 10], [1, 0, 0, 0, 1, 0]
    ds.PositionReferenceIndicator = ""
    return ds


def requested(ds):
    """The foreign house's own order, in the two places where objects keep one."""
    ds.RequestAttributesSequence = [item(
        AccessionNumber="FREMD-5", RequestedProcedureID="FR1", ScheduledProcedureStepID="FS1",
        RequestedProcedureDescription="Fremde Anforderung")]
    ds.RequestingPhysician = "Arzt^Anton"
    ds.AdmissionID = "AUFNAHME-9"
    return ds


def functional_groups(ds, frames):
    ds.SharedFunctionalGroupsSequence = [item(
        PixelMeasuresSequence=[item(PixelSpacing=[1, 1], SliceThickness=3)],
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])])]
    ds.PerFrameFunctionalGroupsSequence = [
        item(FrameContentSequence=[item(StackID="1", InStackPositionNumber=n + 1, DimensionIndexValues=[n + 1],
                                        FrameComments=f"Schicht größer {n}")],
             PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 3 * n])])
        for n in range(frames)]
    ds.DimensionOrganizationSequence = [item(DimensionOrganizationUID=uid("dimension", ds.SeriesDescription))]
    return ds


def document(ds, title):
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = [title]
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
    ds.PerformedProcedureCodeSequence = []
    ds.ReferencedPerformedProcedureStepSequence = []
    return ds


def text(name, value):
    return item(RelationshipType="CONTAINS", ValueType="TEXT",
                ConceptNameCodeSequence=[code(name, "99FERN", "Befund")], TextValue=value)


def foreign_request():
    return item(
        StudyInstanceUID=uid("study", "elsewhere"), AccessionNumber="FREMD-5", ReferencedStudySequence=[],
        RequestedProcedureID="FR1", RequestedProcedureDescription="Fremde Anforderung",
        RequestedProcedureCodeSequence=[], PlacerOrderNumberImagingServiceRequest="",
        FillerOrderNumberImagingServiceRequest="")


def evidence(study, *names):
    return [item(StudyInstanceUID=uid("study", study.name), ReferencedSeriesSequence=[
        item(SeriesInstanceUID=uid("series", name), ReferencedSOPSequence=[reference(sop_class, name)])
        for name, sop_class in names])]


def kinds(s):
    def put(name, ds):
        s.write(name, ds)

    put("ct", requested(plane(image(s.new("ct", SOP + "2", "CT", KVP="120", RescaleSlope="1",
                                           RescaleIntercept="-1024", AcquisitionNumber="1")))))
    put("mr", plane(image(s.new("mr", SOP + "4", "MR", ScanningSequence="SE", SequenceVariant="NONE",
                                ScanOptions="", MRAcquisitionType="2D", EchoTime="10", EchoTrainLength="1",
                                RepetitionTime="500"))))
    put("enhanced-ct", functional_groups(image(s.new("enhanced-ct", SOP + "2.1", "CT"), frames=3), 3))
    put("enhanced-mr", functional_groups(image(s.new("enhanced-mr", SOP + "4.1", "MR"), frames=3), 3))
    put("us", image(s.new("us", SOP + "6.1", "US"), bits=8, samples=3, photometric="RGB"))
    put("us-multi-frame", image(s.new("us-multi-frame", SOP + "3.1", "US", FrameTime="33",
                                      FrameIncrementPointer=0x00181063), bits=8, frames=4))
    put("xa", image(s.new("xa", SOP + "12.1", "XA", KVP="80", RadiationSetting="GR",
                          PixelIntensityRelationship="LIN", PositionerMotion="STATIC"), frames=2))
    put("cr", image(s.new("cr", SOP + "1", "CR", BodyPartExamined="CHEST", ViewPosition="PA")))
    put("dx", image(s.new("dx", SOP + "1.1", "DX", PresentationIntentType="FOR PRESENTATION",
                          ImageLaterality="U", PatientOrientation=["L", "F"])))
    put("mg", image(s.new("mg", SOP + "1.2", "MG", PresentationIntentType="FOR PRESENTATION",
                          ImageLaterality="L", ViewPosition="CC", PatientOrientation=["P", "L"])))
    put("tomosynthesis", functional_groups(image(s.new("tomosynthesis", SOP + "13.1.3", "MG"), frames=2), 2))
    put("nm", image(s.new("nm", SOP + "20", "NM", NumberOfEnergyWindows=1, NumberOfDetectors=1,
                          EnergyWindowInformationSequence=[item(EnergyWindowName="Tc-99m")],
                          RadiopharmaceuticalInformationSequence=[item(Radiopharmaceutical="Tc-99m")]), frames=2))
    put("pt", plane(image(s.new("pt", SOP + "128", "PT", Units="BQML", DecayCorrection="START",
                                SeriesType=["WHOLE BODY", "IMAGE"],
                                RadiopharmaceuticalInformationSequence=[item(
                                    RadiopharmaceuticalStartTime="090000", RadionuclideTotalDose="300000000",
                                    Radiopharmaceutical="FDG")]))))
    put("rtimage", image(s.new("rtimage", SOP + "481.1", "RTIMAGE", RTImageLabel="Feldaufnahme",
                               RTImagePlane="NORMAL", ReferencedRTPlanSequence=[
                                   reference(SOP + "481.5", "rtplan")])))
    put("rtstruct", s.new("rtstruct", SOP + "481.3", "RTSTRUCT", StructureSetLabel="Zielvolumen",
                          StructureSetDate="20240131", StructureSetTime="101112", ApprovalStatus="UNAPPROVED",
                          ReferencedFrameOfReferenceSequence=[item(
                              FrameOfReferenceUID=uid("frame", s.name), RTReferencedStudySequence=[item(
                                  ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
                                  ReferencedSOPInstanceUID=uid("study", s.name), RTReferencedSeriesSequence=[item(
                                      SeriesInstanceUID=uid("series", "ct"),
                                      ContourImageSequence=[reference(SOP + "2", "ct")])])])],
                          StructureSetROISequence=[item(ROINumber=1, ROIName="Hirn",
                                                        ReferencedFrameOfReferenceUID=uid("frame", s.name),
                                                        ROIGenerationAlgorithm="MANUAL")]))
    put("rtplan", s.new("rtplan", SOP + "481.5", "RTPLAN", RTPlanLabel="Plan 1", RTPlanDate="20240131",
                        RTPlanTime="101112", RTPlanGeometry="PATIENT", ReferencedStructureSetSequence=[
                            reference(SOP + "481.3", "rtstruct")]))
    put("rtdose", image(s.new("rtdose", SOP + "481.2", "RTDOSE", DoseUnits="GY", DoseType="PHYSICAL",
                              DoseSummationType="PLAN", DoseGridScaling="0.001", ReferencedRTPlanSequence=[
                                  reference(SOP + "481.5", "rtplan")]), frames=2))
    put("sr-text", document(s.new(
        "sr-text", SOP + "88.11", "SR", ContentSequence=[text("B1", "Kein Nachweis einer Blutung. Grüße")],
        ReferencedRequestSequence=[foreign_request()]), code("18748-4", "LN", "Diagnostic Imaging Report")))
    put("sr-comprehensive", document(s.new(
        "sr-comprehensive", SOP + "88.33", "SR", CurrentRequestedProcedureEvidenceSequence=evidence(
            s, ("ct", SOP + "2")),
        ContentSequence=[
            item(RelationshipType="HAS OBS CONTEXT", ValueType="PNAME",
                 ConceptNameCodeSequence=[code("121029", "DCM", "Subject Name")], PersonName="Müßig^Jürgen"),
            item(RelationshipType="CONTAINS", ValueType="IMAGE", ReferencedSOPSequence=[
                reference(SOP + "2", "ct")])]), code("18748-4", "LN", "Diagnostic Imaging Report")))
    put("dose-report", document(s.new("dose-report", SOP + "88.67", "SR", ContentSequence=[
        item(RelationshipType="CONTAINS", ValueType="NUM",
             ConceptNameCodeSequence=[code("113813", "DCM", "CT Dose Length Product Total")],
             MeasuredValueSequence=[item(NumericValue="512", MeasurementUnitsCodeSequence=[
                 code("mGy.cm", "UCUM", "mGy.cm")])])]), code("113701", "DCM", "X-Ray Radiation Dose Report")))
    put("key-objects", document(s.new(
        "key-objects", SOP + "88.59", "KO", CurrentRequestedProcedureEvidenceSequence=evidence(
            s, ("ct", SOP + "2"), ("mr", SOP + "4")),
        ContentSequence=[item(RelationshipType="CONTAINS", ValueType="IMAGE", ReferencedSOPSequence=[
            reference(SOP + "2", "ct")])]), code("113000", "DCM", "Of Interest")))
    put("presentation-state", s.new(
        "presentation-state", SOP + "11.1", "PR", ContentLabel="ANSICHT", ContentDescription="größer",
        ContentCreatorName="Ärztin^Änne", PresentationCreationDate="20240131", PresentationCreationTime="101112",
        ReferencedSeriesSequence=[item(SeriesInstanceUID=uid("series", "ct"), ReferencedImageSequence=[
            reference(SOP + "2", "ct")])],
        DisplayedAreaSelectionSequence=[item(DisplayedAreaTopLeftHandCorner=[1, 1],
                                             DisplayedAreaBottomRightHandCorner=[8, 8],
                                             PresentationSizeMode="SCALE TO FIT",
                                             PresentationPixelAspectRatio=[1, 1])],
        PresentationLUTShape="IDENTITY"))
    put("segmentation", functional_groups(image(s.new(
        "segmentation", SOP + "66.4", "SEG", SegmentationType="BINARY", ContentLabel="SEG",
        ContentCreatorName="Ärztin^Änne", ReferencedSeriesSequence=[item(
            SeriesInstanceUID=uid("series", "ct"), ReferencedInstanceSequence=[reference(SOP + "2", "ct")])],
        SegmentSequence=[item(SegmentNumber=1, SegmentLabel="Blutung", SegmentAlgorithmType="MANUAL",
                              SegmentedPropertyCategoryCodeSequence=[code("49755003", "SCT", "Morphology")],
                              SegmentedPropertyTypeCodeSequence=[code("50960005", "SCT", "Hemorrhage")])]),
        rows=16, columns=16, bits=1, frames=2), 2))
    put("registration", s.new("registration", SOP + "66.1", "REG", ContentLabel="REG", RegistrationSequence=[
        item(FrameOfReferenceUID=uid("frame", s.name), MatrixRegistrationSequence=[item(
            MatrixSequence=[item(FrameOfReferenceTransformationMatrix=[1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
                                 FrameOfReferenceTransformationMatrixType="RIGID")])])]))
    put("raw-data", s.new("raw-data", SOP + "66", "OT", CreatorVersionUID="1.2.3.4.5", ContentLabel="ROH"))
    for name, kind, mime, content in (
            ("pdf", "104.1", "application/pdf", b"%PDF-1.4\n%%EOF\n"),
            ("cda", "104.2", "text/XML", b"<ClinicalDocument xmlns='urn:hl7-org:v3'/>")):
        put(name, s.new(name, SOP + kind, "DOC", ConversionType="WSD", BurnedInAnnotation="YES",
                        DocumentTitle="Ärztlicher Befund", ConceptNameCodeSequence=[],
                        MIMETypeOfEncapsulatedDocument=mime, AcquisitionDateTime="",
                        EncapsulatedDocument=content + b"\0" * (len(content) % 2),
                        EncapsulatedDocumentLength=len(content)))
    put("secondary-capture", image(s.new("secondary-capture", SOP + "7", "OT", ConversionType="WSD"),
                                   bits=8, samples=3, photometric="RGB"))
    put("secondary-capture-multi-frame", image(s.new(
        "secondary-capture-multi-frame", SOP + "7.2", "OT", ConversionType="DI", BurnedInAnnotation="NO",
        FrameIncrementPointer=0x00182001, PageNumberVector=[1, 2]), bits=8, frames=2))
    ecg = s.new("ecg", SOP + "9.1.1", "ECG", AcquisitionDateTime="20240131101112", AcquisitionContextSequence=[])
    ecg.WaveformSequence = [item(
        WaveformOriginality="ORIGINAL", NumberOfWaveformChannels=1, NumberOfWaveformSamples=64,
        SamplingFrequency="500", WaveformBitsAllocated=16, WaveformSampleInterpretation="SS",
        ChannelDefinitionSequence=[item(ChannelSourceSequence=[code("5.6.3-9-1", "SCPECG", "Lead I")],
                                        WaveformBitsStored=16)])]
    ecg.WaveformSequence[0].add_new(0x54001010, "OW", noise(128))
    put("ecg", ecg)
    jpeg = b"\xff\xd8\xff\xe0" + noise(200) + b"\xff\xd9"
    photo = image(s.new("photo", SOP + "77.1.4", "XC", JPEGBaseline8Bit, AcquisitionContextSequence=[],
                        LossyImageCompression="01"), bits=8, samples=3, photometric="YBR_FULL_422")
    photo.PixelData = encapsulate([jpeg])
    put("photo", photo)
    video = image(s.new("video", SOP + "77.1.4.1", "XC", MPEG4HP41, AcquisitionContextSequence=[],
                        FrameTime="40", FrameIncrementPointer=0x00181063, LossyImageCompression="01"),
                  bits=8, samples=3, frames=5, photometric="YBR_PARTIAL_420")
    video.PixelData = encapsulate([noise(1000)], has_bot=False)
    put("video", video)
    put("ophthalmic-photo", image(s.new("ophthalmic-photo", SOP + "77.1.5.1", "OP", ImageLaterality="R",
                                        BurnedInAnnotation="NO", AcquisitionContextSequence=[],
                                        DetectorType="CCD"), bits=8, samples=3, photometric="RGB", frames=1))
    put("ophthalmic-tomography", functional_groups(image(s.new(
        "ophthalmic-tomography", SOP + "77.1.5.4", "OPT", ImageLaterality="R"), bits=8, frames=2), 2))
    slide = image(s.new("slide", SOP + "77.1.6", "SM", JPEGBaseline8Bit, ContainerIdentifier="GLAS-1",
                        SpecimenDescriptionSequence=[item(SpecimenIdentifier="P-1", SpecimenUID=uid("specimen"))],
                        TotalPixelMatrixColumns=16, TotalPixelMatrixRows=8, LossyImageCompression="01"),
                  bits=8, samples=3, frames=2, photometric="YBR_FULL_422")
    slide.PixelData = encapsulate([jpeg, jpeg[:2] + noise(90) + jpeg[-2:]])
    put("slide", slide)
    private = s.new("private", PRIVATE_CLASS, "OT")
    block = private.private_block(0x0029, "HERSTELLER 1.0", create=True)
    block.add_new(0x01, "LO", "Größe privat")
    block.add_new(0x02, "OB", noise(32))
    block.add_new(0x03, "UN", b"\xfc\x00\xff\x01")
    block.add_new(0x04, "SQ", [item(PatientName="Müßig^Jürgen")])
    put("private", private)


def generation(at, by, reason, **values):
    return item(SourceOfPreviousValues="Praxis Nord", AttributeModificationDateTime=at, ModifyingSystem=by,
                ReasonForTheAttributeModification=reason, ModifiedAttributesSequence=[item(**values)])


def texts(s):
    """What the foreign house wrote, and how: each CT is a hard case of text, syntax or history."""
    def ct(name, syntax=ExplicitVRLittleEndian, **values):
        ds = plane(image(s.new(name, SOP + "2", "CT", syntax, KVP="120", RescaleSlope="1",
                               RescaleIntercept="0", AcquisitionNumber="1")))
        ds.ProcedureCodeSequence = [code("P1", "99FERN", "Größe")]
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        return ds

    def plain(ds):
        for keyword in ("StudyDescription", "ReferringPhysicianName"):
            setattr(ds, keyword, "Schaedel")
        ds.ProcedureCodeSequence = [code("P1", "99FERN", "Groesse")]
        ds.InstitutionName = "Praxis Fern"
        return ds

    s.write("latin-1", ct("latin-1"))
    undeclared = plain(ct("undeclared", PatientName="Muessig^Juergen"))
    del undeclared.SpecificCharacterSet
    s.write("undeclared", undeclared)
    s.write("utf-8", ct("utf-8", SpecificCharacterSet="ISO_IR 192", PatientName="Μύσιγκ^Γιούργκεν=繆西格^于爾根"))
    s.write("gb18030", plain(ct("gb18030", SpecificCharacterSet="GB18030", PatientName="Wang^XiaoDong=王^小东",
                                SeriesDescription="头部平扫")))
    s.write("cyrillic", plain(ct("cyrillic", SpecificCharacterSet="ISO_IR 144", PatientName="Иванов^Иван",
                                 StudyDescription="Голова")))
    japanese = ["", "ISO 2022 IR 87"]
    s.write("japanese", plain(ct("japanese", SpecificCharacterSet=japanese,
                                 PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう", SeriesDescription="頭部")))
    korean = plain(ct("korean", SpecificCharacterSet=["", "ISO 2022 IR 149"],
                      PatientName="Hong^Gildong=洪^吉洞=홍^길동"))
    s.write("korean", korean)
    nested = ct("nested", RequestAttributesSequence=[item(
        SpecificCharacterSet="ISO_IR 144", RequestedProcedureDescription="Голова",
        RequestedProcedureCodeSequence=[code("X", "99FERN", "Голова")], RequestedProcedureID="FR1",
        ScheduledProcedureStepID="FS1")])
    s.write("nested", nested)
    implicit = ct("implicit", ImplicitVRLittleEndian)
    block = implicit.private_block(0x0029, "HERSTELLER 1.0", create=True)
    block.add_new(0x01, "LO", "Größe privat")
    block.add_new(0x03, "UN", b"\xfc\x00\xff\x01")
    s.write("implicit", implicit)
    s.write("deflated", ct("deflated", DeflatedExplicitVRLittleEndian))
    big = ct("big-endian", ExplicitVRBigEndian)
    s.write("big-endian", big)
    behind = ct("behind-pixels")
    behind.add_new(0x7FE10010, "LO", "HERSTELLER")
    behind.add_new(0x7FE11001, "LO", "Größe dahinter")
    s.write("behind-pixels", behind)
    s.write("coerced-before", ct(
        "coerced-before", InstanceOriginStatus="LOCAL", InstanceCoercionDateTime="20230102030405",
        OriginalAttributesSequence=[
            generation("20220101000000+0100", "PRAXIS", "CORRECT", PatientBirthDate="19561150"),
            generation("20230102030405+0100", "ZENTRUM", "COERCE", PatientID="N-1", IssuerOfPatientID="NORD",
                       AccessionNumber="N-A1")],
        ContributingEquipmentSequence=[item(
            PurposeOfReferenceCodeSequence=[code("109103", "DCM", "Modifying Equipment")],
            Manufacturer="Zentrum")],
        OtherPatientIDsSequence=[item(PatientID="N-1", IssuerOfPatientID="NORD", TypeOfPatientID="TEXT")]))
    signed = ct("signed", MACParametersSequence=[item(
        MACIDNumber=1, MACCalculationTransferSyntaxUID=ExplicitVRLittleEndian, MACAlgorithm="SHA256",
        DataElementsSigned=[0x00100010, 0x00100020])])
    signed.DigitalSignaturesSequence = [item(
        MACIDNumber=1, DigitalSignatureUID=uid("signature"), DigitalSignatureDateTime="20240131101112",
        CertificateType="X509_1993_SIG", CertificateOfSigner=noise(16), Signature=noise(32))]
    s.write("signed", signed)
    s.write("little-told", little(s))


def little(s):
    """Type 2 attributes that are not there at all, and type 3 ones that are empty."""
    ds = plane(image(s.new("little-told", SOP + "2", "CT", IssuerOfPatientID="", StudyID="")))
    for keyword in ("AccessionNumber", "ReferringPhysicianName", "PatientSex", "RequestedProcedureDescription"):
        delattr(ds, keyword)
    return ds


def two_orders(s):
    """A study that answers two orders of the house it comes to: an image and a report, each with its foreign order."""
    s.write("two-orders-ct", requested(plane(image(s.new(
        "two-orders-ct", SOP + "2", "CT", KVP="120", RescaleSlope="1", RescaleIntercept="-1024",
        AcquisitionNumber="1", ReferencedStudySequence=[item(
            ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
            ReferencedSOPInstanceUID=uid("study", "elsewhere"))])))))
    s.write("two-orders-sr", document(s.new(
        "two-orders-sr", SOP + "88.11", "SR", ContentSequence=[text("B1", "Beide Fragen beantwortet")],
        ReferencedRequestSequence=[foreign_request()]), code("18748-4", "LN", "Diagnostic Imaging Report")))


def main():
    folder = pathlib.Path(sys.argv[1])
    kinds(Study(folder, "kinds", "Klinikum Süd"))
    texts(Study(folder, "texts", "Klinikum Süd"))
    two_orders(Study(folder, "orders", "Klinikum Süd"))
    print(sum(1 for path in folder.rglob("*.dcm")))


main()
