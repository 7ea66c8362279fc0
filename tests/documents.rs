//! What `docs/threat-model.md`, `docs/asvs.md`, `docs/simulation.md` and `docs/fuzzing.md` cite is there, and what they count is right: a claim of safety that
//! nobody checks any more is worse than none.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

const DOCUMENTS: [&str; 4] = ["docs/threat-model.md", "docs/asvs.md", "docs/simulation.md", "docs/fuzzing.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust sources of the project.
fn sources() -> anyhow::Result<String> {
    let mut all = String::new();
    let mut folders: Vec<PathBuf> = ["crates", "tests"].map(|folder| root().join(folder)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all.push_str(&fs::read_to_string(&path)?);
            }
        }
    }
    Ok(all)
}

/// What stands between backticks.
fn cited(text: &str) -> BTreeSet<&str> {
    // Blocks of code and drawings cite nothing.
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_file_and_every_test_that_the_documents_cite_is_there() -> anyhow::Result<()> {
    let sources = sources()?;
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document))?;
        let cited = cited(&text);
        let files = cited
            .iter()
            .filter(|word| ["crates/", "tests/", "proto/", "docs/"].iter().any(|folder| word.starts_with(folder)));
        for file in files {
            ensure!(root().join(file).exists(), "{document} cites {file}, which is not there");
        }
        let is_name = |word: &str| {
            word.matches('_').count() > 2
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        for name in cited.iter().filter(|word| is_name(word)) {
            let is_test = sources.contains(&format!("fn {name}("));
            let is_setting = sources.contains(&format!("    pub {name}: "));
            ensure!(is_test || is_setting, "{document} cites {name}, which is neither a test nor a setting");
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() { root().join(document) } else { root().join("docs").join(file) };
            ensure!(file.exists(), "{document} links to {link}, which is not there");
            let has = |line: &str| line.starts_with('#') && anchor(line) == heading;
            let there = heading.is_empty() || fs::read_to_string(file)?.lines().any(has);
            ensure!(there, "{document} links to {link}, a heading that is not there");
        }
    }
    Ok(())
}

/// How a heading is linked to.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words.chars().filter(|c| c.is_alphanumeric() || " -".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Rows of requirements: chapter, level, and how it is met.
fn requirements(text: &str) -> anyhow::Result<Vec<(String, u32, &str)>> {
    let mut found = Vec::new();
    let mut known = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() >= 6) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, level, _, how, ..] = cells.as_slice() else { continue };
        let Some((chapter, _)) = number.split_once('.') else { continue };
        let Ok(level) = level.parse() else { continue };
        ensure!(known.insert(number.to_string()), "{number} stands twice");
        ensure!(["met", "partly", "not met", "n.a."].contains(&how.trim_matches('*')), "{number} is `{how}`");
        found.push((format!("V{chapter}"), level, how.trim_matches('*')));
    }
    Ok(found)
}

fn count<'a>(of: impl Iterator<Item = &'a str>) -> [usize; 5] {
    let mut counts = [0; 5];
    for how in of {
        let column = ["met", "partly", "not met", "n.a."].iter().position(|known| *known == how).unwrap_or(4);
        counts[column] += 1;
        counts[4] += 1;
    }
    counts
}

#[test]
fn the_counts_of_the_verification_standard_are_those_of_its_rows() -> anyhow::Result<()> {
    let text = fs::read_to_string(root().join("docs/asvs.md"))?;
    let rows = requirements(&text)?;
    let mut expected = BTreeMap::new();
    for chapter in rows.iter().map(|(chapter, ..)| chapter.clone()).collect::<BTreeSet<_>>() {
        expected.insert(chapter.clone(), count(rows.iter().filter(|row| row.0 == chapter).map(|row| row.2)));
    }
    for level in [1, 2] {
        let of_level = rows.iter().filter(|row| row.1 == level).map(|row| row.2);
        expected.insert(format!("of level {level}"), count(of_level));
    }
    let all = count(rows.iter().map(|row| row.2));
    expected.insert("all".to_owned(), all);

    let mut stated = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| ") && line.matches('|').count() == 7) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('*')).collect();
        let figures: Result<Vec<usize>, _> = cells[1..].iter().map(|cell| cell.parse()).collect();
        if let Ok(figures) = figures {
            let name = if cells[0].starts_with('V') { cells[0].split(' ').next() } else { Some(cells[0]) };
            stated.insert(name.context("a name")?.to_owned(), figures);
        }
    }
    for (name, counts) in expected {
        let stated = stated.remove(&name).with_context(|| format!("no counts are stated of {name}"))?;
        ensure!(stated == counts, "of {name} {stated:?} are stated, and the rows are {counts:?}");
    }
    ensure!(stated.is_empty(), "counts are stated of what has no rows: {stated:?}");
    let [met, partly, not_met, not_applicable, total] = all;
    let sentence = format!("**{met} met, {partly} partly, {not_met} not met, {not_applicable} not applicable**");
    ensure!(text.contains(&sentence), "the summary must say {sentence}");
    ensure!(text.contains(&format!("of the {} that apply", total - not_applicable)), "those that apply");
    Ok(())
}

#[test]
fn what_is_not_met_stands_once_more_with_its_risk() -> anyhow::Result<()> {
    let text = fs::read_to_string(root().join("docs/asvs.md"))?;
    let (rows, risks) = text.split_once("## What is not met").context("the section of risks")?;
    let risks: BTreeSet<&str> = risks
        .lines()
        .filter(|line| line.starts_with("| ") && !line.contains("| risk |"))
        .flat_map(|line| line.trim_matches('|').split('|').next().unwrap_or_default().split(','))
        .map(str::trim)
        .collect();
    let not_met: BTreeSet<&str> = rows
        .lines()
        .filter(|line| line.contains("| **not met** |"))
        .filter_map(|line| line.trim_matches('|').split('|').next())
        .map(str::trim)
        .collect();
    ensure!(risks == not_met, "with their risk {risks:?}, not met {not_met:?}");
    Ok(())
}
