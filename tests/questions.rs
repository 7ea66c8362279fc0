//! The evaluator's questions, asked with the real binary: why is it so, what was known then, what if the rules were others.

mod door;
mod process;

use std::fs;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use process::Served;

const VISIT: &str = "0198c0de-0000-7000-8000-000000000001";
const CORRECTION: &str = "0198c0de-0000-7000-8000-000000000002";

/// A server with one kelurahan, two schools, one of them visited, and a visit that turns out to have been at the other.
struct Contoh {
    served: Served,
    folder: tempfile::TempDir,
}

impl Contoh {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let contoh = Self { served: Served::start(&folder.path().join("data"), &["--sample-data"])?, folder };
        let register = |kind: &str, rows: &str| {
            let file = contoh.file(&format!("{kind}.csv"), rows)?;
            contoh.ask(&["registry", "import", kind, "--file", &file])
        };
        register(
            "areas",
            "code,name,valid_from\n53.71,Kota Contoh,2025-01-01\n53.71.04,Kecamatan Contoh,2025-01-01\n\
             53.71.04.1001,Kelurahan Contoh,2025-01-01\n",
        )?;
        register(
            "schools",
            "institution_id,name,area_code,valid_from\n99900001,SMP Contoh 01,53.71.04.1001,2025-01-01\n\
             99900002,SMP Contoh 02,53.71.04.1001,2025-01-01\n",
        )?;
        Ok(contoh)
    }

    fn file(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path = self.folder.path().join(name);
        fs::write(&path, text)?;
        Ok(path.to_str().context("a path in UTF-8")?.to_owned())
    }

    fn ask(&self, args: &[&str]) -> anyhow::Result<String> {
        self.served.ask(args)?.good()
    }

    fn json(&self, args: &[&str]) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.ask(&[args, &["--format", "json"]].concat())?)?)
    }

    fn visit(&self, school: &str) -> Value {
        json!({"schoolId": school, "purpose": "VISIT_PURPOSE_SOSIALISASI", "topics": ["TOPIC_KSBE"], "reach": {"pupilsMale": 9}})
    }

    fn submit(&self, id: &str, sequence: u32, content: &Value) -> anyhow::Result<()> {
        let mut record = json!({
            "submissionId": id, "deviceId": "hp-1", "deviceSequence": sequence.to_string(),
            "occurredAt": "2026-03-10T02:00:00Z", "areaCode": "53.71.04.1001"
        });
        let (record_fields, content) = (record.as_object_mut().context("an object")?, content.as_object());
        record_fields.extend(content.context("an object")?.clone());
        let file = self.file("record.jsonl", &format!("{record}\n"))?;
        self.ask(&["submit", "--file", &file]).map(drop)
    }

    fn coverage(&self, extra: &[&str]) -> anyhow::Result<Vec<(String, bool, Value)>> {
        let explain = ["explain", "--area", "53.71", "--period", "2026-03", "--indicator", "school-coverage"];
        let explained = self.json(&[&explain, extra].concat())?;
        let items = explained["items"].as_array().context("items")?;
        let item = |item: &Value| {
            let name = item["itemId"].as_str().unwrap_or_default().to_owned();
            (name, item["counts"] == json!(true), item["evidencePositions"].clone())
        };
        Ok(items.iter().map(item).collect())
    }
}

#[test]
fn a_corrected_visit_is_explained_compared_and_asked_for_as_it_was() -> anyhow::Result<()> {
    let contoh = Contoh::start()?;
    contoh.submit(VISIT, 1, &json!({"schoolVisit": contoh.visit("99900001")}))?;
    contoh.submit(
        CORRECTION,
        2,
        &json!({"amendment": {"correctsId": VISIT, "reason": "Salah sekolah", "schoolVisit": contoh.visit("99900002")}}),
    )?;
    let school = |name: &str, counts, evidence| (name.to_owned(), counts, evidence);
    let now = [school("99900001", false, Value::Null), school("99900002", true, json!(["7", "8"]))];
    ensure!(contoh.coverage(&[])? == now, "{:?}", contoh.coverage(&[])?);
    let then = [school("99900001", true, json!(["7"])), school("99900002", false, Value::Null)];
    ensure!(contoh.coverage(&["--as-of", "7"])? == then, "{:?}", contoh.coverage(&["--as-of", "7"])?);

    let compared = contoh.json(&["compare", "--then", "7", "--period", "2026-03"])?;
    let change = &compared["changes"][0];
    ensure!(change["causePositions"] == json!(["8"]), "{compared:#}");
    ensure!(change["items"].as_array().is_some_and(|items| items.len() == 2), "{compared:#}");
    let text = contoh.ask(&["compare", "--then", "7", "--period", "2026-03"])?;
    ensure!(text.contains("\n2026-03\nthen: position 7 at ") && text.contains(", rule set bawaan-1\n"), "{text}");
    let of_this_month = contoh.ask(&["compare", "--then", "8"])?;
    let today = of_this_month.lines().find_map(|line| line.strip_prefix("now:  position 8 at ")).context("a now")?;
    ensure!(of_this_month.contains(&format!("\n{}\nthen: ", &today[..7])), "{of_this_month}");
    ensure!(text.contains("counted by #7 -> did not count") && text.contains("recorded since: #8"), "{text}");
    let text = contoh.ask(&["explain", "--area", "53.71", "--period", "2026-03", "--indicator", "school-coverage"])?;
    ensure!(text.contains("1 of 2 count") && text.starts_with("DATA CONTOH"), "{text}");

    for (moment, says) in [
        ("9", "beyond the log's end"),
        ("2200-01-01", "is not a time"),
        ("2199-01-01", "future"),
        ("2001-01-01", "before"),
    ] {
        let refused = contoh.served.ask(&["evaluate", "--period", "2026-03", "--as-of", moment])?;
        ensure!(refused.code == Some(1) && refused.error.contains(says), "{moment}: {refused:?}");
    }
    Ok(())
}

#[test]
fn rules_are_tried_recorded_once_and_hold_from_their_day() -> anyhow::Result<()> {
    let contoh = Contoh::start()?;
    contoh.submit(VISIT, 1, &json!({"schoolVisit": contoh.visit("99900001")}))?;
    let mut rules: Value = serde_json::from_str(&contoh.ask(&["rules", "show"])?)?;
    rules["name"] = json!("contoh-2");
    rules["validFrom"] = json!("2026-03-01");
    rules["bands"] = json!([{"name": "baik", "scoreMin": 50.0}, {"name": "kurang", "scoreMin": 0.0}]);
    let draft = contoh.file("draft.json", &rules.to_string())?;

    let tried = contoh.json(&["what-if", "--rules", &draft, "--period", "2026-03"])?;
    ensure!(tried[0]["draft"]["band"] == json!("baik") && tried[0]["recorded"].get("band").is_none(), "{tried:#}");
    let text = contoh.ask(&["what-if", "--rules", &draft, "--period", "2026-03"])?;
    ensure!(text.contains("\n2026-03  recorded: rule set bawaan-1  draft: rule set "), "{text}");
    ensure!(contoh.json(&["rules", "list"])?.as_array().is_some_and(|all| all.len() == 1), "a draft was recorded");

    let record = ["rules", "record", "--file", &draft, "--reason", "Keputusan contoh"];
    ensure!(contoh.ask(&record)?.contains("is recorded at position 8"));
    ensure!(contoh.ask(&record)?.contains("was recorded before at position 8"));
    let rule_set = |period: &str| {
        let evaluations = contoh.json(&["evaluate", "--period", period])?;
        anyhow::Ok(evaluations[0]["basis"]["ruleSet"].as_str().unwrap_or_default().to_owned())
    };
    ensure!((rule_set("2026-02")?, rule_set("2026-03")?) == ("bawaan-1".to_owned(), "contoh-2".to_owned()));

    rules["reportDays"] = json!(9);
    let changed = contoh.file("changed.json", &rules.to_string())?;
    let refused = contoh.served.ask(&["rules", "record", "--file", &changed, "--reason", "Keputusan contoh"])?;
    ensure!(refused.code == Some(1) && refused.error.contains("give these another name"), "{refused:?}");
    rules["name"] = json!("contoh-3");
    rules["silentDays"] = json!(0);
    rules["holidays"] = json!(["Senin"]);
    let bad = contoh.file("bad.json", &rules.to_string())?;
    let refused = contoh.served.ask(&["what-if", "--rules", &bad])?;
    let named = refused.error.contains("draft.silent_days") && refused.error.contains("draft.holidays[0]");
    ensure!(refused.code == Some(1) && named, "{refused:?}");
    Ok(())
}
