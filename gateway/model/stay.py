"""The canonical inpatient stay: one patient, one hospitalisation, one discharge.

It is assembled from one or many messages and knows no platform. Its content is that of the inpatient front sheet
(住院病案首页, national standard of 2020 with 811 columns), named in the terms of HL7 and FHIR. Which column of which layout
feeds which path is data: ``mappings/platforms/hqms/fields.csv`` and ``mappings/sources/hqms``.

A stay is identified by organisation, 病案号 (`record_number`) and 住院次数 (`admission_number`); the discharge time serves as
a check that two messages mean the same stay.
"""

from __future__ import annotations

from msgspec import Struct, field

from gateway.model.provenance import Provenance
from gateway.model.values import Amount, Coded, Date, DateTime, Text


class Part(Struct, omit_defaults=True):
    """Base of everything inside a stay: all members optional, defaults left out when written."""


class Organisation(Part):
    """The reporting medical institution, as on its practice licence."""

    code: Text | None = None
    name: Text | None = None


class Identity(Part):
    """Identity document: kind (RC038) and number."""

    kind: Coded | None = None
    number: Text | None = None


class Address(Part):
    """A postal address as one text, with the telephone and postcode that stand beside it on the front sheet."""

    text: Text | None = None
    phone: Text | None = None
    postcode: Text | None = None


class Contact(Part):
    """The contact person (联系人) and the relationship to the patient (RC033)."""

    name: Text | None = None
    relationship: Coded | None = None
    address: Text | None = None
    phone: Text | None = None


class Patient(Part):
    """The person, as stated for this stay."""

    name: Text | None = None
    sex: Coded | None = None
    birth_date: Date | None = None
    nationality: Text | None = None
    marital_status: Coded | None = None
    occupation: Coded | None = None
    ethnicity: Coded | None = None
    identity: Identity = field(default_factory=Identity)
    health_card: Text | None = None
    birthplace: Text | None = None
    native_province: Coded | None = None
    registered_address: Address = field(default_factory=Address)
    address: Address = field(default_factory=Address)
    employer: Address = field(default_factory=Address)
    contact: Contact = field(default_factory=Contact)
    vital_status: Coded | None = None
    """``alive`` or ``deceased`` (system ``vital-status``) where a source states it apart from the way of leaving"""
    death_time: DateTime | None = None


class Age(Part):
    """Age at admission as the source states it: completed years, and days for who is under one year."""

    years: int | None = None
    days: int | None = None


class Admission(Part):
    time: DateTime | None = None
    route: Coded | None = None
    department: Coded | None = None
    ward: Text | None = None
    condition: Coded | None = None
    day_surgery: Coded | None = None
    newborn_weight: int | None = None
    """grams, of a newborn that is itself the patient"""


class Discharge(Part):
    time: DateTime | None = None
    department: Coded | None = None
    ward: Text | None = None
    disposition: Coded | None = None
    receiving_institution: Text | None = None
    autopsy: Coded | None = None
    readmission_planned: Coded | None = None
    readmission_purpose: Text | None = None


class Diagnosis(Part):
    """One diagnosis: condition (ICD-10 national clinical edition), present on admission (RC027), outcome (RC005)."""

    condition: Coded | None = None
    present_on_admission: Coded | None = None
    outcome: Coded | None = None
    confirmed_on: Date | None = None


class Diagnoses(Part):
    """Diagnoses by their role on the front sheet. ``other`` keeps the printed positions, empty ones included."""

    principal: Diagnosis = field(default_factory=Diagnosis)
    other: list[Diagnosis] = field(default_factory=list)
    outpatient: Diagnosis = field(default_factory=Diagnosis)
    admission: Diagnosis = field(default_factory=Diagnosis)
    external_cause: Diagnosis = field(default_factory=Diagnosis)


class Stage(Part):
    """One staging of a tumour. ``kind`` is ``clinical``, ``pathologic`` or ``other``; ``system`` the edition or scheme (AJCC 8, FIGO, INSS);
    ``group`` the stage group or, for schemes without TNM, the stage."""

    kind: Text | None = None
    system: Coded | None = None
    t: Coded | None = None
    n: Coded | None = None
    m: Coded | None = None
    group: Coded | None = None
    staged_on: Date | None = None


class Marker(Part):
    """A tumour marker or receptor status. ``value`` is the result as stated (``6.50``, ``++``), ``unit`` its unit, ``finding`` a coded
    result (positive, negative)."""

    test: Coded | None = None
    value: Text | None = None
    unit: Text | None = None
    finding: Coded | None = None
    tested_on: Date | None = None


class Tumour(Part):
    """A tumour as the sources of this stay state it; which of them are one primary tumour of the person is decided across stays.

    ``condition`` is the diagnosis as stated (ICD-10), ``topography`` and ``morphology`` (``8500/3``, behaviour included) are ICD-O-3
    where the source has them, never derived from the diagnosis. ``course`` is the clinical status (active, recurrence, remission),
    ``role`` ``primary`` or ``secondary`` where it is said, ``basis`` the basis of diagnosis as stated."""

    condition: Coded | None = None
    role: Text | None = None
    topography: Coded | None = None
    laterality: Coded | None = None
    morphology: Coded | None = None
    grade: Coded | None = None
    basis: Coded | None = None
    course: Coded | None = None
    diagnosed_on: Date | None = None
    size_mm: Amount | None = None
    stages: list[Stage] = field(default_factory=list)
    markers: list[Marker] = field(default_factory=list)


class Pathology(Part):
    """A pathology diagnosis: morphology (national M code, ``M85000/3``) and 病理号, as the front sheet has them, and from the report itself
    its ``kind`` and ``status`` (words of `gateway.model.facts`), the day on which it was reported, and the text of its diagnosis with what
    supplements add. A frozen section is never the diagnosis."""

    morphology: Coded | None = None
    specimen_number: Text | None = None
    kind: Text | None = None
    status: Text | None = None
    reported_on: Date | None = None
    diagnosis: Text | None = None


class Procedure(Part):
    """One operation or procedure (ICD-9-CM-3 national clinical edition); duration in hours."""

    operation: Coded | None = None
    started_at: DateTime | None = None
    level: Coded | None = None
    duration_hours: Amount | None = None
    operator: Text | None = None
    first_assistant: Text | None = None
    second_assistant: Text | None = None
    incision_healing: Coded | None = None
    anaesthesia: Coded | None = None
    asa_grade: Coded | None = None
    anaesthetist: Text | None = None


class Procedures(Part):
    principal: Procedure = field(default_factory=Procedure)
    other: list[Procedure] = field(default_factory=list)


class Medication(Part):
    """A drug ordered or given. ``state`` is ``ordered`` or ``given``, ``at`` the time of it, ``group`` ties the drugs of one infusion
    together (组号); ``dose`` is text because senders write ranges and words."""

    drug: Coded | None = None
    dose: Text | None = None
    unit: Text | None = None
    route: Coded | None = None
    group: Text | None = None
    state: Text | None = None
    at: DateTime | None = None


class Allergy(Part):
    present: Coded | None = None
    drugs: Text | None = None


class Laboratory(Part):
    hbsag: Coded | None = None
    hcv_antibody: Coded | None = None
    hiv_antibody: Coded | None = None
    abo_group: Coded | None = None
    rh_group: Coded | None = None


class StaffMember(Part):
    """A member of staff: name and number of the practice certificate."""

    name: Text | None = None
    certificate: Text | None = None


class Staff(Part):
    department_director: StaffMember = field(default_factory=StaffMember)
    chief_physician: StaffMember = field(default_factory=StaffMember)
    attending_physician: StaffMember = field(default_factory=StaffMember)
    resident_physician: StaffMember = field(default_factory=StaffMember)
    responsible_nurse: StaffMember = field(default_factory=StaffMember)
    visiting_physician: StaffMember = field(default_factory=StaffMember)
    intern_physician: StaffMember = field(default_factory=StaffMember)
    coder: StaffMember = field(default_factory=StaffMember)


class RecordQuality(Part):
    """Quality control of the medical record (病案质控)."""

    grade: Coded | None = None
    physician: Text | None = None
    nurse: Text | None = None
    checked_on: Date | None = None


class Nursing(Part):
    """Days of nursing care by class."""

    special_class_days: int | None = None
    first_class_days: int | None = None
    second_class_days: int | None = None
    third_class_days: int | None = None


class Transfusion(Part):
    """Blood given: red cells and autologous blood in units, platelets in therapeutic doses, plasma and whole blood in ml."""

    reaction: Coded | None = None
    red_cells: Amount | None = None
    platelets: Amount | None = None
    plasma: Amount | None = None
    whole_blood: Amount | None = None
    autologous: Amount | None = None


class Birth(Part):
    """One child born during the stay (or the newborn patient itself): birth weight in grams."""

    weight: int | None = None


class ComaDuration(Part):
    days: int | None = None
    hours: int | None = None
    minutes: int | None = None


class Coma(Part):
    """Coma of a patient with brain injury, before and after admission."""

    before_admission: ComaDuration = field(default_factory=ComaDuration)
    after_admission: ComaDuration = field(default_factory=ComaDuration)


class IcuStay(Part):
    """One stay in an intensive care unit (RC015)."""

    unit: Coded | None = None
    entered_at: DateTime | None = None
    left_at: DateTime | None = None


class Costs(Part):
    """Costs in yuan. ``physical_treatment``, ``anaesthesia``, ``operation`` and ``antibacterial_drugs`` are parts of the item
    they stand under on the front sheet and do not count again in the total."""

    total: Amount | None = None
    self_paid: Amount | None = None
    general_service: Amount | None = None
    general_treatment: Amount | None = None
    nursing: Amount | None = None
    other_service: Amount | None = None
    pathology: Amount | None = None
    laboratory: Amount | None = None
    imaging: Amount | None = None
    clinical_diagnosis: Amount | None = None
    non_surgical_treatment: Amount | None = None
    physical_treatment: Amount | None = None
    surgical_treatment: Amount | None = None
    anaesthesia: Amount | None = None
    operation: Amount | None = None
    rehabilitation: Amount | None = None
    chinese_medicine: Amount | None = None
    western_drugs: Amount | None = None
    antibacterial_drugs: Amount | None = None
    chinese_patent_drugs: Amount | None = None
    chinese_herbs: Amount | None = None
    blood: Amount | None = None
    albumin: Amount | None = None
    globulin: Amount | None = None
    clotting_factors: Amount | None = None
    cytokines: Amount | None = None
    examination_materials: Amount | None = None
    treatment_materials: Amount | None = None
    surgical_materials: Amount | None = None
    other: Amount | None = None


class Stay(Part):
    """One inpatient stay. See the module for its identity.

    ``verbatim`` holds, by path, what the source wrote where there is no value: the front sheet's null placeholder ``-``
    (which is not the same as a blank cell) or text that is not a value of the declared type. It is what lets a wrong cell be
    shown, checked and written back as it came.

    ``extras`` holds items that have no place in the model, by ``layout:code`` (``pcode:P687``), so that nothing a source sends
    is lost and a layout can be written back as it was read.
    """

    organisation: Organisation = field(default_factory=Organisation)
    record_number: Text | None = None
    admission_number: int | None = None
    patient: Patient = field(default_factory=Patient)
    age: Age = field(default_factory=Age)
    payment_method: Coded | None = None
    admission: Admission = field(default_factory=Admission)
    transfers: list[Coded] = field(default_factory=list)
    discharge: Discharge = field(default_factory=Discharge)
    length_of_stay: int | None = None
    """days, counted by calendar day; a stay within one day counts 1"""
    diagnoses: Diagnoses = field(default_factory=Diagnoses)
    pathology: list[Pathology] = field(default_factory=list)
    tumours: list[Tumour] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    markers: list[Marker] = field(default_factory=list)
    """stagings and markers that no source ties to one of several tumours: they stay here until a person links them"""
    procedures: Procedures = field(default_factory=Procedures)
    medications: list[Medication] = field(default_factory=list)
    icu_stays: list[IcuStay] = field(default_factory=list)
    births: list[Birth] = field(default_factory=list)
    allergy: Allergy = field(default_factory=Allergy)
    laboratory: Laboratory = field(default_factory=Laboratory)
    staff: Staff = field(default_factory=Staff)
    quality: RecordQuality = field(default_factory=RecordQuality)
    nursing: Nursing = field(default_factory=Nursing)
    transfusion: Transfusion = field(default_factory=Transfusion)
    coma: Coma = field(default_factory=Coma)
    ventilation_hours: int | None = None
    costs: Costs = field(default_factory=Costs)
    verbatim: dict[str, str] = field(default_factory=dict)
    extras: dict[str, str] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def identity(self) -> tuple[str, str, int]:
        """(organisation code, 病案号, 住院次数): the key under which messages of one stay meet."""
        return (self.organisation.code or "", self.record_number or "", self.admission_number or 0)

    def diagnosis_codes(self) -> list[str]:
        """ICD-10 codes of the discharge diagnoses, principal first, blanks left out."""
        slots = (self.diagnoses.principal, *self.diagnoses.other)
        return [d.condition.code for d in slots if d.condition is not None and d.condition.code]
