//! The columns of a release: what cases are counted by, and which columns belong together.

use satgas_proto::v1::{self, AgeGroup, ElectronicViolence, Offender, Place, ReleaseTable, Sex, Violence};

/// Columns of all tables together.
pub(super) const COLUMNS: usize = 44;
/// What is counted of an area: the cases in each column, and last all its cases.
pub(super) type Figures = [u32; COLUMNS + 1];
/// Where in [`Figures`] the number of all cases of an area stands.
pub(super) const ALL: usize = COLUMNS;

/// Columns that are counted over the same cases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) table: ReleaseTable,
    /// First column.
    pub(super) first: usize,
    /// Number of columns.
    pub(super) len: usize,
    /// The column whose cases are counted, or [`ALL`].
    pub(super) of: usize,
    pub(super) kind: Kind,
}

/// How the columns of a family add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A case counts in exactly one.
    One,
    /// A case counts in one or more.
    Some,
    /// A case counts in any number, or in none.
    Any,
}

impl Family {
    pub(super) fn columns(self) -> std::ops::Range<usize> {
        self.first..self.first + self.len
    }
}

/// All families, each behind the one whose cases it counts.
pub(super) const FAMILIES: [Family; 8] = [
    Family { table: ReleaseTable::Victims, first: 0, len: 3, of: ALL, kind: Kind::One },
    Family { table: ReleaseTable::Victims, first: 3, len: 6, of: 0, kind: Kind::One },
    Family { table: ReleaseTable::Victims, first: 9, len: 4, of: 1, kind: Kind::One },
    Family { table: ReleaseTable::Victims, first: 13, len: 4, of: 2, kind: Kind::One },
    Family { table: ReleaseTable::Violence, first: 17, len: 7, of: ALL, kind: Kind::Some },
    Family { table: ReleaseTable::Violence, first: 24, len: 3, of: SEXUAL, kind: Kind::Any },
    Family { table: ReleaseTable::Place, first: 27, len: 7, of: ALL, kind: Kind::One },
    Family { table: ReleaseTable::Offender, first: 34, len: 10, of: ALL, kind: Kind::One },
];

/// The column of sexual violence, of which electronic-based violence is a part.
const SEXUAL: usize = 19;
const CHILDREN: [AgeGroup; 3] = [AgeGroup::AgeGroup05, AgeGroup::AgeGroup612, AgeGroup::AgeGroup1317];
const ADULTS: [AgeGroup; 4] =
    [AgeGroup::AgeGroup1824, AgeGroup::AgeGroup2544, AgeGroup::AgeGroup4559, AgeGroup::AgeGroup60Up];
const SEXES: [Sex; 2] = [Sex::Perempuan, Sex::LakiLaki];
const GROUPS: [&str; 3] = ["ANAK", "PEREMPUAN", "LAKI_LAKI"];

/// The columns under which a case counts, in order. Validation lets no report through that leaves out a code; should one have done so,
/// it counts under the last of its list, so that the columns of [`Kind::One`] always add up.
pub(super) fn columns_of(report: &v1::CaseReport) -> Vec<usize> {
    let nth =
        |number: i32, len: usize| usize::try_from(number).ok().filter(|n| (1..=len).contains(n)).unwrap_or(len) - 1;
    let sex = nth(report.victim_sex, SEXES.len());
    let mut columns = match CHILDREN.iter().position(|age| *age == report.victim_age()) {
        Some(age) => vec![0, 3 + age * SEXES.len() + sex],
        None => {
            let age = ADULTS.iter().position(|age| *age == report.victim_age()).unwrap_or(ADULTS.len() - 1);
            vec![1 + sex, 9 + sex * ADULTS.len() + age]
        }
    };
    let several = |first: usize, codes: &[i32], len: usize| {
        let mut codes: Vec<usize> = codes.iter().map(|code| first + nth(*code, len)).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    };
    let violence = if report.violence.is_empty() { &[0][..] } else { &report.violence };
    columns.extend(several(17, violence, 7));
    if columns.contains(&SEXUAL) {
        columns.extend(several(24, &report.electronic, 3));
    }
    columns.push(27 + nth(report.place, 7));
    columns.push(34 + nth(report.offender, 10));
    columns
}

/// What is counted in a column.
pub(super) fn code(column: usize) -> String {
    fn named<T: TryFrom<i32> + Default>(at: usize, name: fn(&T) -> &'static str) -> String {
        let number = i32::try_from(at + 1).unwrap_or_default();
        name(&T::try_from(number).unwrap_or_default()).to_owned()
    }
    match column {
        0..3 => GROUPS[column].to_owned(),
        3..9 => {
            let (age, sex) = (CHILDREN[(column - 3) / SEXES.len()], SEXES[(column - 3) % SEXES.len()]);
            format!("{}/{}/{}", GROUPS[0], age.as_str_name(), sex.as_str_name())
        }
        9..17 => {
            let (sex, age) = ((column - 9) / ADULTS.len(), ADULTS[(column - 9) % ADULTS.len()]);
            format!("{}/{}", GROUPS[1 + sex], age.as_str_name())
        }
        17..24 => named(column - 17, Violence::as_str_name),
        24..27 => named(column - 24, ElectronicViolence::as_str_name),
        27..34 => named(column - 27, Place::as_str_name),
        _ => named(column - 34, Offender::as_str_name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_lie_behind_one_another_and_behind_what_they_are_part_of() {
        let mut next = 0;
        for family in FAMILIES {
            assert_eq!(family.first, next);
            assert!(family.of == ALL || family.of < family.first);
            next += family.len;
        }
        assert_eq!(next, COLUMNS);
        assert_eq!(code(SEXUAL), "VIOLENCE_SEKSUAL");
        let codes: std::collections::BTreeSet<String> = (0..COLUMNS).map(code).collect();
        assert_eq!(codes.len(), COLUMNS, "no two columns are called the same");
    }

    #[test]
    fn a_case_counts_in_one_column_of_each_list_and_under_each_of_its_forms_of_violence() {
        let report = v1::CaseReport {
            violence: vec![Violence::Seksual.into(), Violence::Psikis.into()],
            electronic: vec![ElectronicViolence::Transmisi.into()],
            place: Place::Daring.into(),
            victim_age: AgeGroup::AgeGroup1317.into(),
            victim_sex: Sex::Perempuan.into(),
            offender: Offender::PacarTeman.into(),
            ..Default::default()
        };
        let codes: Vec<String> = columns_of(&report).into_iter().map(code).collect();
        let expected = [
            "ANAK",
            "ANAK/AGE_GROUP_13_17/SEX_PEREMPUAN",
            "VIOLENCE_PSIKIS",
            "VIOLENCE_SEKSUAL",
            "ELECTRONIC_VIOLENCE_TRANSMISI",
            "PLACE_DARING",
            "OFFENDER_PACAR_TEMAN",
        ];
        assert_eq!(codes, expected);
        let adult = v1::CaseReport { victim_age: AgeGroup::AgeGroup60Up.into(), ..report };
        assert_eq!(code(columns_of(&adult)[1]), "PEREMPUAN/AGE_GROUP_60_UP");
    }
}
