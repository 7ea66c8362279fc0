//! What is wrong with a server, seen from the machine that has its data: settings, rights, the disk, the log, the keys, the certificate, the
//! backup. Nothing is changed, and a running server is not disturbed: nothing of its folder is opened that it has open.

use std::{
    fs,
    io::{self, Seek as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use satgas_backup::{ReadError, Reader, note::PublicKey};
use satgas_engine::{
    Clock,
    vault::{self, VaultError},
};
use satgas_journal::disk;

use crate::{Config, FolderError, folder::Folder, identity::Keys, master, rights, tls};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Not looked at, since there is nothing to look at or something stands in the way that is no fault.
    Skipped,
    /// It works, and will not for ever.
    Warning,
    /// It does not work, or data are in danger.
    Problem,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was looked at, such as "disk".
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// What to do; empty when nothing is to be done.
    pub remedy: String,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, what: what.into(), remedy: String::new() }
    }

    /// Not looked at.
    #[must_use]
    pub fn skipped(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, level: Level::Skipped, what: what.into(), remedy: String::new() }
    }

    /// It works, and will not for ever.
    #[must_use]
    pub fn warning(check: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, level: Level::Warning, what: what.into(), remedy: remedy.into() }
    }

    /// It does not work, or data are in danger.
    #[must_use]
    pub fn problem(check: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, level: Level::Problem, what: what.into(), remedy: remedy.into() }
    }
}

/// Writes that are synced to find out how long the disk takes.
const SYNCS: usize = 32;
/// A sync that takes longer than this makes every client wait.
const SYNC_SLOW: Duration = Duration::from_millis(20);
/// A sync that is quicker than this has not reached any disk.
const SYNC_TOO_QUICK: Duration = Duration::from_micros(5);
/// How long before its end a certificate is told.
const CERTIFICATE_SOON_S: i64 = 21 * 86_400;
/// How old the last backup may be: one a day, and two hours for it.
pub const BACKUP_AGE_MAX_S: i64 = 26 * 3_600;
/// How far the clock may stand before what was written last.
const CLOCK_SLACK_S: i64 = 60;
const MIB: u64 = 1024 * 1024;

/// Looks at everything. `backup` is the folder of the backups, if there is one. Blocks, for as long as reading the log takes.
pub fn examine(config: &Config, backup: Option<&Path>, clock: &dyn Clock) -> Vec<Finding> {
    let mut findings = settings(config);
    let data = &config.data;
    if !data.is_dir() {
        let what = format!("there is no folder {}", data.display());
        let remedy = "name the right one with --data or --config; `satgas serve` makes a new one";
        findings.push(Finding::problem("folder", what, remedy));
        return findings;
    }
    findings.extend(folder(data));
    findings.extend(space(config));
    findings.push(syncs(data));
    findings.push(clock_of(data, clock));
    findings.extend(logs(data));
    findings.push(signing_key(data));
    findings.push(vault_of(config));
    findings.push(certificate(config, clock));
    findings.push(last_backup(data, backup, clock));
    findings
}

/// Whether a process has the data folder at this moment.
#[must_use]
pub fn is_served(data: &Path) -> bool {
    matches!(Folder::hold(data), Err(FolderError::InUse { .. }))
}

fn settings(config: &Config) -> Vec<Finding> {
    let remedy = "mend the configuration; `satgas config check` looks at it alone";
    let mut findings: Vec<Finding> =
        config.problems().iter().map(|wrong| Finding::problem("settings", wrong.to_string(), remedy)).collect();
    if findings.is_empty() {
        findings.push(Finding::ok("settings", "the configuration makes a server"));
    }
    let stray = Config::stray_variables();
    let remedy = "remove it from the environment, or write it as the setting is called";
    findings.extend(stray.iter().map(|wrong| Finding::warning("settings", wrong.to_string(), remedy)));
    findings
}

/// Who may enter the folder, and whether the server may write there.
fn folder(data: &Path) -> Vec<Finding> {
    const CHECK: &str = "folder";
    let shown = data.display();
    let mut findings = Vec::new();
    match (rights::of_others(data, rights::OTHERS), rights::of_others(data, rights::GROUP)) {
        (Err(error), _) | (_, Err(error)) => {
            findings.push(Finding::problem(
                CHECK,
                format!("{shown} cannot be looked at: {error}"),
                "run this as the server's user",
            ));
        }
        (Ok(0), Ok(0)) => {}
        (Ok(0), Ok(_)) => {
            let what = format!("{shown} is open to its group, and cases lie in it");
            let remedy = format!("if that is not the group of your backups: chmod 700 {shown}");
            findings.push(Finding::warning(CHECK, what, remedy));
        }
        (Ok(_), _) => {
            let what =
                format!("{shown} is open to everybody on this machine, and cases lie in it: the server refuses it");
            findings.push(Finding::problem(CHECK, what, format!("chmod 700 {shown}")));
        }
    }
    if let Err(error) = tempfile::tempfile_in(data) {
        let what = format!("nothing can be written in {shown}: {error}");
        findings.push(Finding::problem(CHECK, what, "give it to the server's user, and run this as that user"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("{shown} is its owner's alone, and can be written")));
    }
    findings
}

fn space(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "disk space";
    let data = &config.data;
    let free = match rustix::fs::statvfs(data) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            let what = format!("how much is free cannot be told: {error}");
            return vec![Finding::warning(CHECK, what, "look with `df`")];
        }
    };
    let log = crate::metrics::size_of(&data.join("journal")).unwrap_or_default();
    let needed = config.disk_free_min_mib.saturating_mul(MIB);
    let shown = format!("{} MiB are free, the log takes {} MiB", free / MIB, log / MIB);
    vec![if free < needed {
        let what =
            format!("{shown}, and nothing is recorded below {} MiB (disk_free_min_mib)", config.disk_free_min_mib);
        Finding::problem(CHECK, what, "free some space, or move the data folder to a larger disk")
    } else if free < needed.saturating_mul(4).max(log) {
        let what = format!("{shown}; a start copies the log first, and does without where it has no room");
        Finding::warning(CHECK, what, "free some space, or plan for a larger disk")
    } else {
        Finding::ok(CHECK, shown)
    }]
}

fn syncs(data: &Path) -> Finding {
    const CHECK: &str = "disk sync";
    let measured = || -> io::Result<Vec<Duration>> {
        // Room first, as the log's file has it: a file that grows makes the file system write more than the block.
        const BLOCK: [u8; 4096] = [0x5a; 4096];
        let mut file = tempfile::tempfile_in(data)?;
        for _ in 0..SYNCS {
            file.write_all(&BLOCK)?;
        }
        file.sync_all()?;
        file.rewind()?;
        let mut took = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            file.write_all(&BLOCK)?;
            let began = Instant::now();
            file.sync_data()?;
            took.push(began.elapsed());
        }
        took.sort_unstable();
        Ok(took)
    };
    let took = match measured() {
        Ok(took) => took,
        Err(error) => {
            return Finding::problem(
                CHECK,
                format!("the disk cannot be synced: {error}"),
                "look at the disk and its file system",
            );
        }
    };
    let (middle, worst) = (took[SYNCS / 2], took[SYNCS - 1]);
    let per_second = 1.0 / middle.as_secs_f64().max(1e-9);
    let shown = format!(
        "a sync takes {:.2} ms, the slowest of {SYNCS} {:.2} ms: about {per_second:.0} commits a second",
        ms(middle),
        ms(worst)
    );
    if middle > SYNC_SLOW {
        let remedy = "every client waits for it: use a solid-state disk, and keep other heavy writers off it";
        Finding::warning(CHECK, shown, remedy)
    } else if middle < SYNC_TOO_QUICK {
        let what = format!("{shown}; no disk is as quick as that, so what is acknowledged may be in memory only");
        Finding::warning(CHECK, what, "move the data folder off tmpfs, or off a disk that only says that it has synced")
    } else {
        Finding::ok(CHECK, shown)
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The machine's clock beside the last commit. Time within the log never goes back, so a clock that does stamps records wrongly.
fn clock_of(data: &Path, clock: &dyn Clock) -> Finding {
    const CHECK: &str = "clock";
    let Ok(written) = changed_at(&disk::anchor_file(data.join("journal"))) else {
        return Finding::skipped(CHECK, "nothing was recorded yet");
    };
    match written.as_second() - clock.now().as_second() {
        ahead_s if ahead_s > CLOCK_SLACK_S => {
            let what = format!(
                "the clock shows {}, and the last commit was written {ahead_s} s after that: records would all be stamped with that time",
                clock.now(),
            );
            Finding::problem(CHECK, what, "set the clock, and keep it right with NTP (`timedatectl set-ntp true`)")
        }
        _ => Finding::ok(CHECK, format!("it shows {}, after the last commit", clock.now())),
    }
}

/// Both logs, from their raw files.
fn logs(data: &Path) -> Vec<Finding> {
    const CHECK: &str = "log";
    // Held while the logs are looked at, so that no server starts meanwhile.
    let _folder = match Folder::hold(data) {
        Ok(folder) => folder,
        Err(FolderError::InUse { by, .. }) => {
            let what = format!(
                "in use by {by}, which checked its end when it opened it; stop it and run `satgas verify` to check all of it"
            );
            return vec![Finding::skipped(CHECK, what)];
        }
        Err(error) => return vec![Finding::problem(CHECK, error.to_string(), "run this as the server's user")],
    };
    [("journal", CHECK), ("access", "access log")]
        .into_iter()
        .map(|(name, check)| log(&data.join(name), check))
        .collect()
}

fn log(path: &Path, check: &'static str) -> Finding {
    let seen = match disk::look(path) {
        Ok(Some(seen)) => seen,
        Ok(None) if check == "log" => {
            let what = format!("there is no log in {}", path.display());
            return Finding::problem(
                check,
                what,
                "is it the right folder? Restore a backup, or let `satgas serve` begin a new log",
            );
        }
        Ok(None) => return Finding::skipped(check, "there is none yet"),
        Err(error) => {
            let what = format!("{} cannot be read: {error}", path.display());
            return Finding::problem(check, what, "run this as the server's user; look at the disk");
        }
    };
    let disk::Seen { acknowledged, whole, synced_only, kept } = seen;
    let salvage = "do not start the server; copy the data folder away, then `satgas recover --from DIR --to NEW` saves what is whole, and a backup has the rest";
    if whole < acknowledged {
        let what = format!("records {} to {acknowledged} were acknowledged and are damaged or missing", whole + 1);
        Finding::problem(check, what, salvage)
    } else if !synced_only {
        Finding::problem(check, "blobs/ is not empty: records lie in files that were never synced", salvage)
    } else if kept {
        let what = format!(
            "records 1 to {whole} are whole, and a copy of the log (log.kept) lies beside it: an opening was refused or cut short"
        );
        Finding::warning(
            check,
            what,
            "start the server: after a refusal it puts the copy back, and a start that goes well removes it",
        )
    } else if acknowledged == 0 && whole > 0 {
        let what =
            format!("records 1 to {whole} are whole, and the file that says how many were acknowledged cannot be read");
        Finding::warning(
            check,
            what,
            "compare with the last backup: nothing here shows whether records are missing at the end",
        )
    } else {
        Finding::ok(
            check,
            format!("records 1 to {whole} are whole, and {acknowledged} is the last that was acknowledged"),
        )
    }
}

fn signing_key(data: &Path) -> Finding {
    const CHECK: &str = "token key";
    let path = data.join("keys/signing.pem");
    match rights::of_others(&path, rights::GROUP | rights::OTHERS) {
        Ok(0) => Finding::ok(CHECK, "only its owner reads the key that signs tokens"),
        Ok(_) => {
            let what = format!("{} may be read by others: whoever has it can make tokens", path.display());
            let remedy =
                format!("chmod 600 {}, and if they have read it, `satgas token recover --new-key`", path.display());
            Finding::problem(CHECK, what, remedy)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = format!("{} is not there", path.display());
            Finding::warning(
                CHECK,
                what,
                "restore keys/ from its backup; the next start makes a new one, and every token ends",
            )
        }
        Err(error) => Finding::problem(CHECK, format!("{}: {error}", path.display()), "run this as the server's user"),
    }
}

/// Whether the master key at hand opens the keys of all cases. How many there are is nobody's business.
fn vault_of(config: &Config) -> Finding {
    const CHECK: &str = "case keys";
    let folder = master::vault_folder(config);
    let masters = match master::masters(config) {
        Ok(masters) => masters,
        Err(error) => {
            return Finding::problem(
                CHECK,
                error.to_string(),
                "give the master key that was in force, from its backup",
            );
        }
    };
    if !folder.is_dir() {
        return match config.data.join("journal").is_dir() {
            true => Finding::skipped(
                CHECK,
                format!("{} is not there: no identity was sealed yet, or it was lost", folder.display()),
            ),
            false => Finding::skipped(CHECK, "no identity was sealed yet"),
        };
    }
    let files = match vault::key_files(&folder, &masters) {
        Ok(files) => files,
        Err(error) => return Finding::problem(CHECK, error.to_string(), "run this as the server's user"),
    };
    let other =
        files.iter().filter(|file| matches!(file.key, Err(VaultError::OtherMaster(_) | VaultError::Master(_)))).count();
    let bad = files.iter().filter(|file| file.key.is_err()).count() - other;
    match (files.is_empty(), other, bad) {
        (true, ..) => Finding::ok(CHECK, "no identity was sealed yet"),
        (false, 0, 0) => Finding::ok(CHECK, "the master key opens the keys of all cases"),
        (false, 0, _) => {
            let what = "some keys of cases are damaged: identities sealed under them cannot be opened";
            Finding::problem(CHECK, what, "`satgas vault restore` takes them from a copy of the vault")
        }
        (false, ..) => {
            let what =
                "the master key does not open the keys of all cases: it is another one, or a rotation was cut short";
            let remedy = "give the master key that was in force (master_key_file), and with it master_key_former_file until `satgas vault rotate` is done";
            Finding::problem(CHECK, what, remedy)
        }
    }
}

fn certificate(config: &Config, clock: &dyn Clock) -> Finding {
    const CHECK: &str = "certificate";
    let Some(path) = &config.tls_certificate else {
        return Finding::skipped(CHECK, "no TLS is configured: the server is for this machine only");
    };
    let pem = match fs::read(path) {
        Ok(pem) => pem,
        Err(error) => {
            let what = format!("{} cannot be read: {error}", path.display());
            return Finding::problem(CHECK, what, "put the certificate there, readable by the server's user");
        }
    };
    let Some(ends) = tls::ends(&pem) else {
        let what = format!("{} holds no certificate in PEM", path.display());
        return Finding::problem(
            CHECK,
            what,
            "put the server's certificate there, and those between it and its authority behind it",
        );
    };
    let left_s = ends - clock.now().as_second();
    let end =
        Timestamp::from_second(ends).map_or_else(|_| "a time beyond all calendars".to_owned(), |end| end.to_string());
    let remedy =
        "put a new certificate and its key into the same files: the running server takes them within ten seconds";
    if left_s <= 0 {
        Finding::problem(CHECK, format!("it ended on {end}: clients refuse the server"), remedy)
    } else if left_s < CERTIFICATE_SOON_S {
        Finding::warning(CHECK, format!("it ends on {end}, in {} days", left_s / 86_400), remedy)
    } else {
        Finding::ok(CHECK, format!("it is good until {end}"))
    }
}

/// The last backup, by what its manifest says. Its segments are not read: `satgas restore --check` does that.
fn last_backup(data: &Path, folder: Option<&Path>, clock: &dyn Clock) -> Finding {
    const CHECK: &str = "backup";
    let Some(folder) = folder else {
        return Finding::skipped(CHECK, "no folder of backups was named: --backup DIR looks at one");
    };
    let again = "make a backup now, and look why the last one was not made";
    let backup = match Reader::open(folder, None).and_then(|backup| backup.has_all().map(|()| backup)) {
        Ok(backup) => backup,
        Err(error) => {
            let remedy = match &error {
                ReadError::NoBackup(_) => "make a backup now, or name its folder with --backup",
                ReadError::Io(_) => "run this as a user that may read the folder, such as root",
                _ => {
                    "make a backup into a new folder now, and keep this one: `satgas restore --check` says what can still be restored"
                }
            };
            return Finding::problem(CHECK, error.to_string(), remedy);
        }
    };
    let own = Keys::heads_of(&data.join("keys"));
    if own.is_some_and(|own| PublicKey::of(backup.log_id(), &own.0) != *backup.key()) {
        let what = format!("the one in {} is signed with another key than this server's", folder.display());
        return Finding::problem(
            CHECK,
            what,
            "it is another server's, or of before this one was restored: make a backup into a new folder",
        );
    }
    let taken_at = backup.taken_at();
    let age_s = clock.now().as_second() - taken_at.as_second();
    let shown = format!("the last one was taken at {taken_at}, {} hours ago", age_s / 3_600);
    if age_s < -CLOCK_SLACK_S {
        let what = format!("the last one was taken at {taken_at}, which is still to come by this machine's clock");
        Finding::problem(CHECK, what, "set the clock, and keep it right with NTP (`timedatectl set-ntp true`)")
    } else if age_s > BACKUP_AGE_MAX_S {
        Finding::problem(CHECK, shown, again)
    } else {
        Finding::ok(CHECK, shown)
    }
}

/// When a file was last written.
fn changed_at(path: &Path) -> io::Result<Timestamp> {
    Timestamp::try_from(fs::metadata(path)?.modified()?).map_err(io::Error::other)
}
