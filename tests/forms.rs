//! Exports of KoboToolbox and ODK sent with the example mappings in docs/forms, by the real binary to a real server.

mod door;
mod process;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use process::Served;

/// What a form may ask that must never reach satgas or its files.
const NAME: &str = "Orang Contoh";

/// A server with the areas, schools and task forces that the example forms know, and a folder beside its data.
struct Contoh {
    served: Served,
    folder: tempfile::TempDir,
}

impl Contoh {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let served = Served::start(&folder.path().join("data"), &[])?;
        let served = Self { served, folder };
        served.register(
            "areas",
            "code,name,valid_from\n53.71,Contoh,2025-01-01\n53.71.04,Contoh,2025-01-01\n\
            53.71.04.1001,Contoh Satu,2025-01-01\n53.71.04.1002,Contoh Dua,2025-01-01\n",
        )?;
        served.register(
            "schools",
            "institution_id,name,area_code,valid_from,valid_until\n\
            99900001,SMP Contoh 01,53.71.04.1001,2025-01-01,\n",
        )?;
        served.register(
            "task-forces",
            "task_force_id,area_code,institution_id,kind,legal_basis,formed_on,dissolved_on\n\
            sg-contoh-1,53.71.04.1001,,satgas kelurahan,,2025-01-01,\n",
        )?;
        Ok(served)
    }

    fn register(&self, kind: &str, csv: &str) -> anyhow::Result<()> {
        let file = self.file(&format!("{kind}.csv"), csv)?;
        let (code, _, error) = self.satgas(&["registry", "import", kind, "--file", &file])?;
        ensure!(code == Some(0), "{error}");
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> anyhow::Result<String> {
        fs::write(self.path(name), text)?;
        Ok(self.path(name).to_str().context("a path in UTF-8")?.to_owned())
    }

    fn satgas(&self, args: &[&str]) -> anyhow::Result<(Option<i32>, String, String)> {
        let answer = self.served.ask(args)?;
        Ok((answer.code, answer.out, answer.error))
    }

    /// Sends a file by a mapping; the summary's counts: accepted, already known, in conflict, rejected.
    fn submit(&self, file: &str, mapping: &str) -> anyhow::Result<[u64; 4]> {
        let (code, out, error) = self.satgas(&["submit", "--file", file, "--mapping", mapping, "--format", "json"])?;
        ensure!(!error.contains(NAME) && !out.contains(NAME), "a name is shown");
        let summary: Value = serde_json::from_str(&out).with_context(|| error.clone())?;
        let counts =
            ["accepted", "already_known", "conflicts", "rejected"].map(|key| summary[key].as_u64().unwrap_or(999));
        let all_good = counts[2] == 0 && counts[3] == 0 && summary["orphans"] == 0;
        ensure!(code == Some(if all_good { 0 } else { 2 }), "{code:?} {error}");
        Ok(counts)
    }

    /// Sends an export whose repeat lies beside it.
    fn send(&self, export: &Export) -> anyhow::Result<[u64; 4]> {
        for (_, name, _) in [KOBO_REPEAT, ODK_REPEAT] {
            drop(fs::remove_file(self.path(name)));
        }
        self.file(export.repeat_name, &export.repeat)?;
        self.send_alone(&export.text)
    }

    /// Sends an export beside whatever repeat is there.
    fn send_alone(&self, text: &str) -> anyhow::Result<[u64; 4]> {
        self.submit(&self.file("export.csv", text)?, &mapping("kunjungan-sekolah"))
    }

    /// What a person is told who sends the export again.
    fn told(&self) -> anyhow::Result<(Option<i32>, String, String)> {
        let (file, mapping) = (self.path("export.csv").display().to_string(), mapping("kunjungan-sekolah"));
        self.satgas(&["submit", "--file", &file, "--mapping", &mapping])
    }

    fn rejected(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.path("export.csv.rejected.csv"))?)
    }

    /// The records of a kind in the log, in its order.
    fn records(&self, kind: &str) -> anyhow::Result<Vec<Value>> {
        let (_, out, error) = self.satgas(&["events", "--kind", kind, "--format", "jsonl"])?;
        let events = out.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>().context(error)?;
        Ok(events.into_iter().map(|event| event["submitted"].clone()).collect())
    }
}

fn mapping(form: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/forms").join(form).with_extension("toml").display().to_string()
}

/// The visit form's columns as KoboToolbox exports them.
const KOBO: &str = "mulai;selesai;pesan_privasi;lokasi/kelurahan;lokasi/sekolah;kunjungan/tanggal;kunjungan/tujuan;kunjungan/topik;\
kunjungan/topik/digital;jangkauan/siswi;jangkauan/siswa;jangkauan/guru_perempuan;jangkauan/guru_laki;jangkauan/ortu_perempuan;\
jangkauan/ortu_laki;tanda_risiko;catatan;nama_pengisi;_id;_uuid;_submission_time;_index;meta/rootUuid";

/// The visit form's repeat as the tools export it: header, file, separator. A sheet of KoboToolbox's workbook saved as CSV; ODK Central's own.
const KOBO_REPEAT: (&str, &str, char) = (
    "tindak_lanjut/tindakan;tindak_lanjut/tenggat;_index;_parent_table_name;_parent_index;_submission__id;_submission__uuid;\
     _submission__submission_time;_submission__tags;_submission_meta/rootUuid",
    "tindak_lanjut.csv",
    ';',
);
const ODK_REPEAT: (&str, &str, char) =
    ("tindakan,tenggat,PARENT_KEY,KEY", "kunjungan_sekolah_contoh-tindak_lanjut.csv", ',');

/// An export, and the file of its repeat.
#[derive(Clone)]
struct Export {
    text: String,
    repeat_name: &'static str,
    repeat: String,
}

impl Export {
    fn map(self, change: impl Fn(&str) -> String) -> Self {
        Self { text: change(&self.text), ..self }
    }

    fn map_repeat(self, change: impl Fn(&str) -> String) -> Self {
        Self { repeat: change(&self.repeat), ..self }
    }
}

fn instance(number: usize) -> String {
    format!("4e30afbf-d6cf-4fd7-ac59-{number:012}")
}

fn kobo_row(number: usize) -> String {
    let instance = instance(number);
    format!(
        "2026-03-05T09:30:00.000+08:00;2026-03-05T10:10:00.000+08:00;;contoh_satu;smp_contoh_01;2026-03-05;lanjut;digital ksbe;1;\
         {number};15;2;1;0;0;tidak_ada;\"dua kelas; satu jam\";{NAME};{number};{instance};2026-03-05T02:10:05;{number};uuid:{instance}"
    )
}

/// KoboToolbox's export of the rows, each with two follow-ups.
fn kobo(rows: impl IntoIterator<Item = String>) -> Export {
    let (header, repeat_name, _) = KOBO_REPEAT;
    let mut export =
        Export { text: format!("\u{feff}{KOBO}\r\n"), repeat_name, repeat: format!("\u{feff}{header}\r\n") };
    for row in rows {
        let cells: Vec<&str> = row.rsplitn(6, ';').collect();
        let (root, index, sent, uuid, id) = (cells[0], cells[1], cells[2], cells[3], cells[4]);
        for (number, what) in [(1, "Rapat orang tua;2026-04-01"), (2, "Poster di kelas;2026-04-15")] {
            let own: u64 = index.parse::<u64>().map_or(0, |index| index * 2 + number);
            let link = format!("{own};Kunjungan sekolah;{index};{id};{uuid};{sent};;{root}");
            export.repeat.push_str(&format!("{what};{link}\r\n"));
        }
        export.text.push_str(&format!("{row}\r\n"));
    }
    export
}

/// The same export as ODK Central writes it.
fn odk(rows: impl IntoIterator<Item = String>) -> Export {
    let (header, repeat_name, _) = ODK_REPEAT;
    let mut repeat = format!("{header}\n");
    let mut text = KOBO.replace('/', "-").replace("_uuid", "meta-instanceID").replace("meta-rootUuid", "KEY");
    for row in rows {
        let key = row.rsplit(';').next().unwrap_or_default();
        repeat.push_str(&format!("Rapat orang tua,2026-04-01,{key},{key}/tindak_lanjut[1]\n"));
        repeat.push_str(&format!("Poster di kelas,2026-04-15,{key},{key}/tindak_lanjut[2]\n"));
        text.push_str(&format!("\n{}", row.replace("02:10:05;", "02:10:05.117Z;")));
    }
    let text =
        text.replace("kelas; satu", "kelas! satu").replace(';', ",").replace("kelas! satu", "kelas; satu") + "\n";
    Export { text, repeat_name, repeat }
}

#[test]
fn an_export_is_sent_each_week_in_any_order_and_each_visit_is_recorded_once() -> anyhow::Result<()> {
    let served = Contoh::start()?;
    ensure!(served.send(&kobo((1..=200).map(kobo_row)))? == [200, 0, 0, 0]);
    ensure!(served.send(&kobo((1..=250).rev().map(kobo_row)))? == [50, 200, 0, 0]);
    let records = served.records("school-visit")?;
    ensure!(records.len() == 250);
    let first = &records[0];
    ensure!(first["deviceId"] == "formulir-kunjungan" && first["occurredAt"] == "2026-03-04T16:00:00+00:00", "{first}");
    let visit = &first["schoolVisit"];
    ensure!(visit["purpose"] == "VISIT_PURPOSE_TINDAK_LANJUT" && visit["notes"] == "dua kelas; satu jam", "{visit}");
    ensure!(visit["topics"] == serde_json::json!(["TOPIC_KEAMANAN_DIGITAL", "TOPIC_KSBE"]), "{visit}");
    ensure!(visit["reach"]["pupilsFemale"] == 1, "{visit}");
    let agreed = serde_json::json!([
        {"number": 1, "action": "Rapat orang tua", "dueOn": "2026-04-01"},
        {"number": 2, "action": "Poster di kelas", "dueOn": "2026-04-15"}
    ]);
    ensure!(visit["followUps"] == agreed, "{visit}");
    ensure!(!visit.to_string().contains(NAME) && visit.get("riskSignals").is_none(), "{visit}");
    Ok(())
}

#[test]
fn the_same_visits_from_kobo_and_from_odk_are_the_same_records() -> anyhow::Result<()> {
    let served = Contoh::start()?;
    ensure!(served.send(&kobo((1..=20).map(kobo_row)))? == [20, 0, 0, 0]);
    ensure!(served.send(&odk((1..=20).map(kobo_row)))? == [0, 20, 0, 0]);
    // Without groups in the header as well.
    let bare = |name: &str| {
        if name.starts_with("meta/") { name.to_owned() } else { name.rsplit('/').next().unwrap_or(name).to_owned() }
    };
    let header = |whole: &str| whole.split(';').map(bare).collect::<Vec<_>>().join(";");
    let export = kobo((1..=20).map(kobo_row)).map(|text| text.replace(KOBO, &header(KOBO)));
    let export = export.map_repeat(|text| text.replace("tindak_lanjut/", ""));
    ensure!(served.send(&export)? == [0, 20, 0, 0]);
    // The rows of a repeat in whatever order a spreadsheet leaves them.
    let turned = |text: &str| {
        let (header, rows) = text.split_once('\n').unwrap_or_default();
        rows.lines().rev().fold(format!("{header}\n"), |turned, row| turned + row + "\n")
    };
    ensure!(served.send(&odk((1..=20).map(kobo_row)).map_repeat(turned))? == [0, 20, 0, 0]);
    ensure!(served.send(&kobo((1..=20).map(kobo_row)).map_repeat(turned))? == [0, 20, 0, 0]);
    Ok(())
}

#[test]
fn an_edited_visit_is_a_conflict_that_keeps_both_and_so_are_two_versions_in_one_file() -> anyhow::Result<()> {
    let served = Contoh::start()?;
    // Kobo gives an edit a new _uuid and keeps the root's.
    let edited = |number: usize| {
        kobo_row(number).replace(";15;", ";16;").replacen(&instance(number), &instance(900 + number), 1)
    };
    ensure!(served.send(&kobo([kobo_row(1)]))? == [1, 0, 0, 0]);
    ensure!(served.send(&kobo([edited(1)]))? == [0, 0, 1, 0]);
    // The second version is known as well now; it stays a conflict until somebody decides.
    ensure!(served.send(&kobo([edited(1)]))? == [0, 1, 0, 0]);
    ensure!(served.send(&kobo([kobo_row(2), edited(2), kobo_row(2)]))? == [1, 1, 1, 0]);
    let (_, conflicts, error) = served.satgas(&["conflicts", "--format", "json"])?;
    ensure!(conflicts.matches("CONFLICT_CAUSE_SAME_ID_OTHER_CONTENT").count() == 2, "{conflicts} {error}");
    Ok(())
}

#[test]
fn bad_rows_are_kept_with_every_reason_mended_there_and_sent_again() -> anyhow::Result<()> {
    let served = Contoh::start()?;
    let bad = kobo_row(2).replace(";lanjut;", ";rahasia;").replace("2026-03-05;", "kemarin;");
    let unknown_school = kobo_row(3).replace("smp_contoh_01", "sma_contoh_02");
    ensure!(served.send(&kobo([kobo_row(1), bad, unknown_school, kobo_row(4)]))? == [2, 0, 0, 2]);

    let rejected = served.rejected()?;
    let lines: Vec<&str> = rejected.lines().collect();
    ensure!(lines.len() == 3 && lines[0].ends_with(";meta/rootUuid;satgas_line;satgas_reasons"), "{rejected}");
    ensure!(!rejected.contains(NAME) && !rejected.contains("nama_pengisi"), "{rejected}");
    for expected in [
        ";3;",
        "occurred_at: column `kunjungan/tanggal` is no time",
        "school_visit.purpose: column `kunjungan/tujuan` has a choice",
    ] {
        ensure!(lines[1].contains(expected), "{expected} in {}", lines[1]);
    }
    let of_server = "school_visit.school_id: column `lokasi/sekolah` is not a registered institution";
    ensure!(lines[2].contains(";4;") && lines[2].contains(of_server), "{}", lines[2]);
    let reasons = lines[1].rsplit_once(";3;").context("the line's number")?.1;
    ensure!(!reasons.contains("rahasia") && !reasons.contains("kemarin"), "{reasons}");

    let mended = rejected
        .replace("rahasia", "lanjut")
        .replace("kemarin", "2026-03-05")
        .replace("sma_contoh_02", "smp_contoh_01");
    // The repeat beside it holds the rows of all four visits; here those of two are wanted.
    ensure!(served.send_alone(&mended)? == [2, 0, 0, 0]);
    ensure!(served.send(&kobo((1..=4).map(kobo_row)))? == [0, 4, 0, 0]);
    Ok(())
}

#[test]
fn a_report_closes_a_visits_follow_up_by_the_code_of_its_form_and_may_come_first() -> anyhow::Result<()> {
    let served = Contoh::start()?;
    let header = "laporan-kelurahan,laporan-bulan,laporan-tanggal,anggota_hadir,hambatan,tanda_risiko,selesai_1-kode_kunjungan_1,\
                  selesai_1-nomor_1,selesai_1-tanggal_selesai_1,selesai_2-kode_kunjungan_2,selesai_2-nomor_2,\
                  selesai_2-tanggal_selesai_2,KEY";
    let (visit, report) = (instance(1), instance(77));
    let row = format!(
        "contoh_satu,2026-03-01,2026-04-02,9,,grup_digital perundungan,uuid:{visit},1,2026-03-30,,,,uuid:{report}"
    );
    let activities = format!(
        "jenis,kali,orang,PARENT_KEY,KEY\nkunjungan_rumah,4,8,uuid:{report},uuid:{report}/kegiatan[2]\n\
         rapat,2,30,uuid:{report},uuid:{report}/kegiatan[1]\n"
    );
    served.file("laporan_bulanan_contoh-kegiatan.csv", &activities)?;
    let file = served.file("export.csv", &format!("{header}\n{row}\n"))?;
    ensure!(served.submit(&file, &mapping("laporan-bulanan"))? == [1, 0, 0, 0], "{:?}", served.rejected());
    ensure!(served.send(&kobo([kobo_row(1)]))? == [1, 0, 0, 0]);

    let report = served.records("monitoring-report")?.remove(0)["monitoringReport"].clone();
    let visit_id = served.records("school-visit")?.remove(0)["submissionId"].clone();
    ensure!(report["followUpsDone"][0]["visitId"] == visit_id && report["month"] == "2026-03", "{report}");
    let done = serde_json::json!([
        {"kind": "ACTIVITY_KIND_RAPAT", "count": 2, "participants": 30},
        {"kind": "ACTIVITY_KIND_KUNJUNGAN_RUMAH", "count": 4, "participants": 8}
    ]);
    ensure!(report["activities"] == done, "{report}");
    Ok(())
}

#[test]
fn a_time_without_an_offset_is_in_the_zone_of_the_mapping() -> anyhow::Result<()> {
    let served = Contoh::start()?;
    let text = fs::read_to_string(mapping("kunjungan-sekolah"))?;
    for (number, (zone, occurred)) in
        [("Asia/Jakarta", "2026-03-05T03:00:00+00:00"), ("UTC", "2026-03-05T10:00:00+00:00")].into_iter().enumerate()
    {
        let mapping = served.file("zone.toml", &text.replace("Asia/Makassar", zone))?;
        let local = kobo_row(number).replace("2026-03-05;", "2026-03-05T10:00:00;");
        let offset = kobo_row(10 + number).replace("2026-03-05;", "2026-03-05T10:00:00.000+09:00;");
        let export = kobo([local, offset]);
        served.file(export.repeat_name, &export.repeat)?;
        ensure!(served.submit(&served.file("export.csv", &export.text)?, &mapping)? == [2, 0, 0, 0]);
        let records = served.records("school-visit")?;
        let times: Vec<&Value> = records.iter().rev().take(2).map(|record| &record["occurredAt"]).collect();
        ensure!(times == ["2026-03-05T01:00:00+00:00", occurred], "{times:?}");
    }
    Ok(())
}

#[test]
fn an_export_that_does_not_fit_its_mapping_is_refused_before_anything_is_sent() -> anyhow::Result<()> {
    let served = Contoh::start()?;
    let refused = |text: &str, mapping: &str| -> anyhow::Result<String> {
        let file = served.file("export.csv", text)?;
        served.file("tindak_lanjut.csv", &kobo([kobo_row(1)]).repeat)?;
        let (code, _, error) = served.satgas(&["submit", "--file", &file, "--mapping", mapping])?;
        ensure!(code == Some(1), "{error}");
        Ok(error)
    };
    let visits = mapping("kunjungan-sekolah");
    let error = refused(
        &kobo([kobo_row(1)]).text.replace("kunjungan/tujuan", "kunjungan/maksud").replace("catatan;", "ket;"),
        &visits,
    )?;
    ensure!(error.contains("`kunjungan/tujuan` is missing") && error.contains("`catatan` is missing"), "{error}");
    let error = refused(&kobo([kobo_row(1)]).text.replace("_uuid", "kode").replace("meta/rootUuid", "akar"), &visits)?;
    ensure!(error.contains("no column with the id"), "{error}");
    let misspelt = served.file("bad.toml", &fs::read_to_string(&visits)?.replace("notes =", "note ="))?;
    let error = refused(&kobo([kobo_row(1)]).text, &misspelt)?;
    ensure!(error.contains("unknown field `note`"), "{error}");
    ensure!(served.records("school-visit")?.is_empty());
    Ok(())
}

#[test]
fn a_bad_row_of_a_repeat_is_told_by_file_and_line_and_mended_there() -> anyhow::Result<()> {
    let served = Contoh::start()?;
    let export = kobo((1..=4).map(kobo_row));
    let bad = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[2] = lines[2].replace("2026-04-15", "Rahasia");
        // The third visit's first row stands there twice with two contents, the fourth's second names a day that the server refuses.
        lines.insert(6, lines[5].replace("2026-04-01", "2026-05-01"));
        lines[9] = lines[9].replace("2026-04-15", "2019-01-01");
        lines.join("\n")
    };
    ensure!(served.send(&export.clone().map_repeat(bad))? == [1, 0, 0, 3]);
    let rejected = served.rejected()?;
    let lines: Vec<&str> = rejected.lines().skip(1).collect();
    for (line, expected) in lines.iter().zip([
        "school_visit.follow_ups[1].due_on: tindak_lanjut.csv line 3: column `tenggat`",
        "school_visit.follow_ups[1]: tindak_lanjut.csv line 7: the row is there before with other content, in line 6",
        "school_visit.follow_ups[1].due_on: tindak_lanjut.csv line 10 ",
    ]) {
        ensure!(line.contains(expected), "{expected} in {line}");
    }
    ensure!(!rejected.contains("Rahasia"), "{rejected}");
    // Mended in the repeat's own file; the file of rejected rows is sent as it is.
    served.file(export.repeat_name, &export.repeat)?;
    ensure!(served.send_alone(&rejected)? == [3, 0, 0, 0], "{:?}", served.rejected());
    ensure!(served.send(&export)? == [0, 4, 0, 0]);
    Ok(())
}

#[test]
fn a_row_of_a_repeat_without_its_visit_is_told_by_file_and_line_and_comes_with_the_visit() -> anyhow::Result<()> {
    let served = Contoh::start()?;
    let (both, second) = (kobo([kobo_row(1), kobo_row(2)]), kobo([kobo_row(2)]));
    let export = Export { text: second.text, ..both.clone() };
    ensure!(served.send(&export)? == [1, 0, 0, 0]);
    let (code, out, _) = served.told()?;
    ensure!(code == Some(2), "{out}");
    for line in
        ["tindak_lanjut.csv line 2: no row of the export", "tindak_lanjut.csv line 3: no row", "2 rows of repeats"]
    {
        ensure!(out.contains(line), "{line} in {out}");
    }
    ensure!(served.send(&both)? == [1, 1, 0, 0]);
    ensure!(served.records("school-visit")?.iter().all(|record| record["schoolVisit"]["followUps"][1]["number"] == 2));
    Ok(())
}

#[test]
fn a_repeat_that_is_missing_or_there_twice_or_does_not_fit_stops_everything_before_it_is_sent() -> anyhow::Result<()> {
    let served = Contoh::start()?;
    let export = kobo([kobo_row(1)]);
    served.file("export.csv", &export.text)?;
    let told = |expected: &str| -> anyhow::Result<()> {
        let (code, _, error) = served.told()?;
        ensure!(code == Some(1) && error.contains(expected), "{expected} in {error}");
        Ok(())
    };
    told("the rows of the repeat `tindak_lanjut` are missing")?;
    let stray = served.file("other.csv", &export.repeat)?;
    let (file, mapping) = (served.path("export.csv").display().to_string(), mapping("kunjungan-sekolah"));
    let named = ["submit", "--file", &file, "--mapping", &mapping, "--repeat"];
    let (code, _, error) = served.satgas(&[&named[..], &[&format!("tindaklanjut={stray}")]].concat())?;
    ensure!(code == Some(1) && error.contains("the mapping has no such repeat"), "{error}");

    served.file(KOBO_REPEAT.1, &export.repeat.replace("tenggat", "batas"))?;
    told("`tenggat` is missing")?;
    served.file(
        KOBO_REPEAT.1,
        &export
            .repeat
            .replace("_uuid", "_x")
            .replace("_parent_index", "_y")
            .replace("__id", "_z")
            .replace("rootUuid", "w"),
    )?;
    told("no column names the row of the export")?;
    served.file(ODK_REPEAT.1, &export.repeat)?;
    told("are there more than once")?;
    ensure!(served.records("school-visit")?.is_empty());

    let (code, out, error) = served.satgas(&[&named[..], &[&format!("tindak_lanjut={stray}")]].concat())?;
    ensure!(code == Some(0) && out.contains("accepted               1"), "{out} {error}");
    Ok(())
}
