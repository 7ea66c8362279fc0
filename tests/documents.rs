//! What documents cite is there, what they count is right, and every command that they tell people to type is one: a claim of safety that
//! nobody checks any more is worse than none, and so is a command that fails in the night when it is needed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};

/// Whose citations are checked, too.
const DOCUMENTS: [&str; 7] = [
    "docs/threat-model.md",
    "docs/asvs.md",
    "docs/simulation.md",
    "docs/fuzzing.md",
    "docs/handbook.md",
    "docs/panduan-lapangan.md",
    "docs/upgrading.md",
];

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
            let is_there = root().join(file).exists();
            ensure!(is_there, "{document} cites {file}, which is not there");
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

/// Every document for people, and every unit that runs a command.
fn with_commands() -> anyhow::Result<Vec<PathBuf>> {
    let mut found = vec![root().join("README.md"), root().join("SECURITY.md")];
    let mut folders: Vec<PathBuf> = ["docs", "examples", "ops"].map(|folder| root().join(folder)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md" || extension == "service") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// The words of each command in a line of a shell, without its redirections. No substitutions, and no more quoting than documents need.
fn shell(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words) = (Vec::new(), Vec::new());
    let (mut word, mut quote, mut redirected) = (None::<String>, None, false);
    // The space ends the last word.
    for letter in line.chars().chain([' ']) {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            (_, Some(_)) => word.get_or_insert_default().push(letter),
            ('\'' | '"', None) => (quote, word) = (Some(letter), Some(word.unwrap_or_default())),
            ('#', None) if word.is_none() => break,
            (' ' | '|' | '>' | '<' | ';' | '&', None) => {
                if let Some(word) = word.take()
                    && !std::mem::take(&mut redirected)
                {
                    words.push(word);
                }
                match letter {
                    '>' | '<' => redirected = true,
                    '|' | ';' | '&' => commands.push(std::mem::take(&mut words)),
                    _ => {}
                }
            }
            (_, None) => word.get_or_insert_default().push(letter),
        }
    }
    commands.push(words);
    commands
}

/// The arguments, its own name first, if the words run satgas.
fn satgas(words: &[String]) -> Option<&[String]> {
    let is_satgas = |word: &String| Path::new(word).file_name().is_some_and(|name| name == "satgas");
    let mut at = 0;
    loop {
        match words.get(at)?.as_str() {
            "sudo" => at += 1,
            "-u" => at += 2,
            "systemd-run" => at = words.iter().position(is_satgas)?,
            word if word.contains('=') => at += 1,
            _ => return is_satgas(&words[at]).then(|| &words[at..]),
        }
    }
}

/// What is typed in a document: lines behind `$ ` or in a unit, with what they go on with.
fn typed(text: &str) -> Vec<String> {
    let mut typed = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(mut line) =
            line.trim_start().strip_prefix("$ ").or(line.strip_prefix("ExecStart=")).map(str::to_owned)
        else {
            continue;
        };
        while let Some(begun) = line.strip_suffix('\\') {
            line = format!("{begun}{}", lines.next().unwrap_or_default().trim_start_matches('>'));
        }
        typed.push(line);
    }
    typed
}

#[test]
fn every_command_that_documents_and_units_run_is_one() -> anyhow::Result<()> {
    let mut count = 0;
    for document in with_commands()? {
        let text = fs::read_to_string(&document)?;
        for line in typed(&text) {
            for words in shell(&line) {
                let Some(words) = satgas(&words) else { continue };
                count += 1;
                let Err(refused) = satgas_cli::command().try_get_matches_from(words) else { continue };
                // An id that is cut short stands for one.
                let stands_for_one = words.iter().any(|word| word.contains("...") || word.contains('…'));
                let is_value = refused.kind() == clap::error::ErrorKind::ValueValidation;
                ensure!(
                    !refused.use_stderr() || (stands_for_one && is_value),
                    "{}: {line}\n{refused}",
                    document.display()
                );
            }
        }
    }
    ensure!(count > 60, "only {count} commands were found: they are looked for in the wrong way");
    Ok(())
}

/// Follows the words of a command that is named in a sentence, which may lack what it needs.
fn named(words: &[String]) -> anyhow::Result<()> {
    let mut tree = satgas_cli::command();
    tree.build();
    let mut command = &tree;
    let mut words = words.iter().skip(1).map(String::as_str).peekable();
    while let Some(word) = words.next() {
        if let Some(option) = word.strip_prefix("--") {
            let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
            let known = command.get_arguments().find(|known| known.get_long() == Some(name));
            let known = known.with_context(|| format!("`{}` has no --{name}", command.get_name()))?;
            if value.is_none() && known.get_action().takes_values() {
                words.next();
            }
        } else if word.bytes().all(|letter| letter.is_ascii_uppercase()) {
            // Stands for any.
            return Ok(());
        } else if command.has_subcommands() {
            // Several at once, such as `admit|refuse`: all of one kind.
            for one in word.split('|') {
                let there = command.find_subcommand(one).is_some();
                ensure!(there, "`{}` has no command `{one}`", command.get_name());
            }
            command = word.split('|').next().and_then(|one| command.find_subcommand(one)).context("looked at above")?;
        } else if command.get_positionals().next().is_none() {
            bail!("`{}` takes no `{word}`", command.get_name());
        }
    }
    Ok(())
}

#[test]
fn every_command_that_documents_name_is_one() -> anyhow::Result<()> {
    for document in with_commands()?.iter().filter(|path| path.extension().is_some_and(|end| end == "md")) {
        let text = fs::read_to_string(document)?;
        for cited in cited(&text) {
            let words = cited.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let Some(words) = satgas(&words).filter(|words| words.len() > 1) else { continue };
            named(words).with_context(|| format!("{}: `{cited}`", document.display()))?;
        }
    }
    Ok(())
}

#[test]
fn commands_are_found_in_lines_of_a_shell() {
    let words =
        |line: &str| shell(line).iter().filter_map(|words| satgas(words)).map(<[_]>::to_vec).collect::<Vec<_>>();
    assert_eq!(words("sudo -u satgas satgas verify --data x   # why"), [["satgas", "verify", "--data", "x"]]);
    assert_eq!(words("A=b satgas submit --file - < visits.jsonl"), [["satgas", "submit", "--file", "-"]]);
    assert_eq!(words("satgas rules show > draft.json"), [["satgas", "rules", "show"]]);
    assert_eq!(
        words("satgas events | head -n 3 && target/release/satgas serve"),
        [vec!["satgas", "events"], vec!["target/release/satgas", "serve"]]
    );
    assert_eq!(words("satgas case x --at \"2026-03-05 10:00\""), [["satgas", "case", "x", "--at", "2026-03-05 10:00"]]);
    assert!(words("sudo systemctl restart satgas").is_empty());
}

#[test]
fn manuals_and_completions_have_every_command() -> anyhow::Result<()> {
    let satgas = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_satgas")).args(args).output();
    let folder = tempfile::tempdir()?;
    let pages = folder.path().join("man");
    ensure!(satgas(&["man", "--to", pages.to_str().context("a path in UTF-8")?])?.status.success());
    let bash = String::from_utf8(satgas(&["completions", "bash"])?.stdout)?;
    let tree = satgas_cli::command();
    for command in tree.get_subcommands() {
        let name = command.get_name();
        let page = fs::read_to_string(pages.join(format!("satgas-{name}.1"))).with_context(|| name.to_owned())?;
        ensure!(page.contains(".TH") && page.contains("token\\-file"), "{name}: {page}");
        ensure!(bash.contains(&format!("satgas,{name})")), "bash does not complete {name}");
        for below in command.get_subcommands() {
            ensure!(
                pages.join(format!("satgas-{name}-{}.1", below.get_name())).exists(),
                "{name} {}",
                below.get_name()
            );
        }
    }
    for shell in ["zsh", "fish"] {
        let script = String::from_utf8(satgas(&["completions", shell])?.stdout)?;
        ensure!(script.contains("evaluate") && script.contains("as-of"), "{shell}");
    }
    let unknown = satgas(&["completions", "no-shell"])?;
    ensure!(unknown.status.code() == Some(64) && unknown.stdout.is_empty(), "{unknown:?}");
    Ok(())
}

/// What the container is made by: its instructions, each on one line, and the comment above them.
fn container() -> anyhow::Result<(Vec<String>, String)> {
    let text = fs::read_to_string(root().join("ops/container/Containerfile"))?;
    let comment =
        text.lines().filter_map(|line| line.strip_prefix("# ").or(line.strip_prefix("#"))).collect::<Vec<_>>();
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    Ok((lines.map(str::to_owned).collect(), comment.join("\n").replace("\\\n", " ")))
}

/// What stands behind an instruction, for each time that it is there.
fn instructed<'a>(lines: &'a [String], instruction: &str) -> Vec<&'a str> {
    lines.iter().filter_map(|line| line.strip_prefix(instruction)?.strip_prefix(' ')).map(str::trim).collect()
}

#[test]
fn the_container_has_every_library_of_the_binary_and_runs_it_with_these_alone() -> anyhow::Result<()> {
    let (lines, _) = container()?;
    let binary = env!("CARGO_BIN_EXE_satgas");
    let base = instructed(&lines, "FROM");
    ensure!(base == ["debian:bookworm-slim AS base", "scratch"], "{base:?}");
    let [made] = instructed(&lines, "RUN")[..] else { bail!("the base is made in one step: {lines:?}") };
    // What the base copies into the image's root, from this machine: what it names must be there, and be enough.
    let image = tempfile::tempdir()?;
    let mut installed = BTreeSet::from(["libc6"]);
    for words in made.split("&&").map(|part| part.split_whitespace().collect::<Vec<_>>()) {
        match words[..] {
            ["apt-get", "install", ref named @ ..] => {
                installed.extend(named.iter().filter(|word| !word.starts_with('-')))
            }
            ["mkdir", "-p", ref folders @ ..] => {
                for folder in folders {
                    fs::create_dir_all(
                        image.path().join(folder.strip_prefix("/root-fs/").context("within the image")?),
                    )?;
                }
            }
            ["cp", "-L", ref files @ .., to] => {
                let to = image.path().join(to.strip_prefix("/root-fs/").context("within the image")?);
                for file in files.iter().filter(|file| file.contains("/lib")) {
                    let name = Path::new(file).file_name().context("a file")?;
                    fs::copy(file, to.join(name)).with_context(|| format!("{file}, into {}", to.display()))?;
                    // It comes with the base, or with what is installed into it.
                    let owner = Command::new("dpkg").args(["--search", file]).output()?;
                    let owner = String::from_utf8(owner.stdout)?;
                    let package = owner.split(':').next().unwrap_or_default();
                    ensure!(
                        package.is_empty() || installed.contains(package),
                        "{file} is of {package}, which is not installed"
                    );
                }
            }
            _ => {}
        }
    }
    let loader = image.path().join("lib64/ld-linux-x86-64.so.2");
    let alone = |args: &[&str]| {
        let mut command = Command::new(&loader);
        command.args(["--inhibit-cache", "--library-path"]).arg(image.path().join("usr/lib")).args(args);
        command.env_remove("LD_LIBRARY_PATH").output()
    };
    let linked = String::from_utf8(alone(&["--list", binary])?.stdout)?;
    let inside = image.path().to_str().context("a path in UTF-8")?;
    let libraries: Vec<&str> = linked.lines().filter(|line| !line.contains("linux-vdso")).collect();
    ensure!(libraries.len() > 1, "a static binary needs no base: {linked}");
    for library in libraries {
        // The loader itself is named by the binary, with its whole path.
        let loader = library.split_whitespace().next().and_then(|path| path.strip_prefix('/'));
        let is_inside = library.contains(inside) || loader.is_some_and(|path| image.path().join(path).is_file());
        ensure!(is_inside, "the container lacks {library}");
    }
    let started = alone(&[binary, "--version"])?;
    ensure!(started.status.success() && started.stdout.starts_with(b"satgas "), "{started:?}");
    // Bookworm has the C library 2.36: a binary that names newer symbols does not start there.
    let symbols = Command::new("grep").args(["--only-matching", "--text", "GLIBC_2\\.[0-9]*", binary]).output()?;
    let symbols = String::from_utf8(symbols.stdout)?;
    let newest = symbols.lines().filter_map(|name| name.strip_prefix("GLIBC_2.")?.parse::<u32>().ok()).max();
    let newest = newest.context("the binary names symbols of the C library")?;
    ensure!((2..=36).contains(&newest), "the binary needs GLIBC 2.{newest}");
    Ok(())
}

#[test]
fn what_the_container_copies_sets_and_runs_is_there() -> anyhow::Result<()> {
    let (lines, comment) = container()?;
    // The first comes from the base that is made above it, the second from the folder with the release binary.
    let copied = instructed(&lines, "COPY");
    ensure!(copied == ["--from=base /root-fs/ /", "satgas /usr/bin/satgas"], "{copied:?}");
    let [user] = instructed(&lines, "USER")[..] else { bail!("one user: {lines:?}") };
    ensure!(user != "0:0" && !user.starts_with("root"), "not as root");
    let made = instructed(&lines, "RUN").join(" ");
    ensure!(made.contains(&format!("satgas:x:{user}:")), "{user} has a name");
    let volume = instructed(&lines, "VOLUME");
    let [data] = volume[..] else { bail!("one volume: {volume:?}") };
    ensure!(made.contains(&format!("chown {user} /root-fs{data}")), "{data} is not the user's");
    ensure!(made.contains(&format!("chmod 0700 /root-fs{data}")), "{data} is open to others");

    // What is run are commands.
    let array = |text: &str| serde_json::from_str::<Vec<String>>(text).with_context(|| text.to_owned());
    let [entry] = instructed(&lines, "ENTRYPOINT")[..] else { bail!("one entry: {lines:?}") };
    let [command] = instructed(&lines, "CMD")[..] else { bail!("one command: {lines:?}") };
    let [health] = instructed(&lines, "HEALTHCHECK")[..] else { bail!("it is watched: {lines:?}") };
    let health = array(health.split(" CMD ").nth(1).context("a command")?)?;
    for words in [[array(entry)?, array(command)?].concat(), health] {
        ensure!(words.first().is_some_and(|program| program == "/usr/bin/satgas"), "{words:?}");
        satgas_cli::command().try_get_matches_from(&words).with_context(|| format!("{words:?}"))?;
    }

    // Variables are settings of the server, or of the command line.
    let settings = Command::new(env!("CARGO_BIN_EXE_satgas")).args(["config", "show"]).output()?;
    let settings = String::from_utf8(settings.stdout)?;
    let mut tree = satgas_cli::command();
    tree.build();
    let is_flag = |name: &str| tree.get_arguments().any(|known| known.get_env().is_some_and(|env| env == name));
    let mut count = 0;
    let text = lines.join("\n") + &comment;
    for name in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|name| name.starts_with("SATGAS_"))
    {
        let key = name["SATGAS_".len()..].to_lowercase();
        let is_setting = settings.lines().any(|line| line.trim_start_matches("# ").split(' ').next() == Some(&key));
        ensure!(is_setting || is_flag(name), "{name} is no setting");
        count += 1;
    }
    ensure!(count >= 4, "variables are looked for in the wrong way");
    let listens = instructed(&lines, "ENV").join(" ");
    let [port] = instructed(&lines, "EXPOSE")[..] else { bail!("one port: {lines:?}") };
    ensure!(
        listens.contains(&format!("SATGAS_LISTEN=0.0.0.0:{port}")) && listens.contains(&format!("SATGAS_DATA={data}"))
    );

    // The commands that make it and run it name what is there.
    for path in comment.split_whitespace().filter(|word| word.starts_with("ops/")) {
        ensure!(root().join(path).is_file(), "{path} is not there");
    }
    ensure!(
        comment.contains(&format!("--publish {port}:{port}")) && comment.contains(&format!("satgas:{data}:U")),
        "{comment}"
    );
    Ok(())
}
