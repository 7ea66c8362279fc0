//! The official division of Kota Kupang: one kota, 6 kecamatan, 51 kelurahan.
//!
//! Codes and names are those of the Ministry of Home Affairs. Codes have gaps and are never derived from each other; what makes one
//! area the parent of another is only the shared beginning of whole segments. Both tables are sorted by code.

/// An area as it is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    /// Official code.
    pub(crate) code: &'static str,
    /// Official name.
    pub(crate) name: &'static str,
}

const fn area(code: &'static str, name: &'static str) -> Area {
    Area { code, name }
}

/// The city.
pub(crate) const KOTA: Area = area("53.71", "Kota Kupang");

/// Its kecamatan.
pub(crate) const KECAMATAN: [Area; 6] = [
    area("53.71.01", "Alak"),
    area("53.71.02", "Maulafa"),
    area("53.71.03", "Kelapa Lima"),
    area("53.71.04", "Oebobo"),
    area("53.71.05", "Kota Raja"),
    area("53.71.06", "Kota Lama"),
];

/// Its kelurahan.
pub(crate) const KELURAHAN: [Area; 51] = [
    area("53.71.01.1001", "Namosain"),
    area("53.71.01.1002", "Nunbaun Sabu"),
    area("53.71.01.1003", "Nunbaun Delha"),
    area("53.71.01.1004", "Nunhila"),
    area("53.71.01.1005", "Fatufeto"),
    area("53.71.01.1006", "Manutapen"),
    area("53.71.01.1007", "Mantasi"),
    area("53.71.01.1008", "Alak"),
    area("53.71.01.1009", "Batu Plat"),
    area("53.71.01.1010", "Manulai II"),
    area("53.71.01.1011", "Naioni"),
    area("53.71.01.1012", "Penkase Oeleta"),
    area("53.71.02.1001", "Oepura"),
    area("53.71.02.1002", "Maulafa"),
    area("53.71.02.1003", "Penfui"),
    area("53.71.02.1004", "Naimata"),
    area("53.71.02.1005", "Bello"),
    area("53.71.02.1006", "Fatukoa"),
    area("53.71.02.1007", "Kolhua"),
    area("53.71.02.1008", "Sikumana"),
    area("53.71.02.1009", "Naikolan"),
    area("53.71.03.1001", "Kelapa Lima"),
    area("53.71.03.1010", "Oesapa"),
    area("53.71.03.1011", "Lasiana"),
    area("53.71.03.1014", "Oesapa Barat"),
    area("53.71.03.1015", "Oesapa Selatan"),
    area("53.71.04.1001", "Oebobo"),
    area("53.71.04.1008", "Oetete"),
    area("53.71.04.1009", "Oebufu"),
    area("53.71.04.1010", "Liliba"),
    area("53.71.04.1011", "Fatululi"),
    area("53.71.04.1013", "Kayu Putih"),
    area("53.71.04.1014", "Tuak Daun Merah"),
    area("53.71.05.1001", "Bakunase"),
    area("53.71.05.1002", "Bakunase Dua"),
    area("53.71.05.1003", "Airnona"),
    area("53.71.05.1004", "Naikoten Satu"),
    area("53.71.05.1005", "Naikoten Dua"),
    area("53.71.05.1006", "Kuanino"),
    area("53.71.05.1007", "Nunleu"),
    area("53.71.05.1008", "Fontein"),
    area("53.71.06.1001", "Airmata"),
    area("53.71.06.1002", "Lai Lai Bisi Kopan"),
    area("53.71.06.1003", "Bonipoi"),
    area("53.71.06.1004", "Solor"),
    area("53.71.06.1005", "Tode Kisar"),
    area("53.71.06.1006", "Merdeka"),
    area("53.71.06.1007", "Oeba"),
    area("53.71.06.1008", "Fatubesi"),
    area("53.71.06.1009", "Pasir Panjang"),
    area("53.71.06.1010", "Nefonaek"),
];

/// The whole segments in front of the last one: the code of the area around.
pub(crate) fn parent(code: &str) -> &str {
    code.rsplit_once('.').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_kelurahan_are_fifty_one_sorted_and_each_named_once() {
        assert!(KELURAHAN.is_sorted_by(|a, b| a.code < b.code), "codes are sorted and unique");
        assert!(KECAMATAN.is_sorted_by(|a, b| a.code < b.code), "codes are sorted and unique");
        let names: BTreeSet<_> = KELURAHAN.iter().map(|k| k.name).collect();
        assert_eq!(names.len(), 51);
        assert!(names.iter().all(|name| name.trim() == *name && !name.is_empty()));
    }

    #[test]
    fn every_kelurahan_lies_in_a_kecamatan_and_every_kecamatan_in_the_city() {
        for kelurahan in &KELURAHAN {
            assert_eq!(kelurahan.code.len(), "53.71.00.0000".len(), "{kelurahan:?}");
            assert!(KECAMATAN.iter().any(|k| k.code == parent(kelurahan.code)), "{kelurahan:?}");
        }
        for kecamatan in &KECAMATAN {
            assert_eq!(parent(kecamatan.code), KOTA.code);
        }
    }

    #[test]
    fn the_kecamatan_have_as_many_kelurahan_as_the_official_list() {
        let counts = KECAMATAN.map(|k| KELURAHAN.iter().filter(|area| parent(area.code) == k.code).count());
        assert_eq!(counts, [12, 9, 5, 7, 8, 10]);
    }
}
