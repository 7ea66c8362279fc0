//! A backup in a folder: gone on with, cut short at every byte, altered, and read up to a point in time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    cell::Cell,
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    rc::Rc,
};

use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use prost::Message as _;
use satgas_backup::{
    About, Added, Backup, BackupError, Cut, Disk, Done, Files, Log, ReadError, Reader,
    note::{LogHead, PublicKey},
};
use satgas_journal::{Head, Journal as _, MemoryJournal, Records};

/// The beginning of every record of a server.
#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(uint64, tag = "1")]
    position: u64,
    #[prost(message, optional, tag = "2")]
    recorded_at: Option<pbjson_types::Timestamp>,
    #[prost(bytes = "vec", tag = "10")]
    body: Vec<u8>,
}

/// A server: two logs, and the key that signs their heads.
struct Server {
    log_id: &'static str,
    key: SigningKey,
    logs: [MemoryJournal; 2],
}

impl Server {
    fn new() -> Self {
        let logs = [MemoryJournal::new(), MemoryJournal::new()];
        Self { log_id: "contoh", key: SigningKey::from_bytes(&[3; 32]), logs }
    }

    fn journal(&self, log: Log) -> &MemoryJournal {
        &self.logs[usize::from(log == Log::Access)]
    }

    /// Records of these lengths as one commit, each recorded a second after the one before.
    fn append(&self, log: Log, lengths: &[usize]) -> Head {
        let journal = self.journal(log);
        let before = journal.head().position;
        let mut records = Records::new();
        for (position, len) in (before + 1..).zip(lengths) {
            let recorded_at = Some(pbjson_types::Timestamp { seconds: i64::try_from(position).unwrap(), nanos: 0 });
            let mut random = position;
            let body = std::iter::repeat_with(|| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                random.to_be_bytes()[0]
            });
            records.push(&Record { position, recorded_at, body: body.take(*len).collect() }.encode_to_vec());
        }
        journal.append(before, &records).unwrap()
    }

    fn public_key(&self) -> String {
        PublicKey::of(self.log_id, &self.key).to_string()
    }

    fn note(&self, log: Log) -> String {
        LogHead { log_id: self.log_id.to_owned(), log, head: self.journal(log).head() }.sign(&self.key)
    }

    /// One run, as a client makes it.
    fn back_up(&self, folder: &Path, files: impl Files) -> Result<Done, BackupError> {
        let mut backup = Backup::open(folder, files, 1_000)?;
        for log in Log::ALL {
            let mut after = backup.head(log)?.position;
            let head = backup.begin(log, &self.note(log), &self.public_key())?;
            while after < head.position {
                after = backup.take(&self.journal(log).copy(after, head.position, 1_500).unwrap())?;
            }
            backup.end()?;
        }
        let taken_at = second(self.journal(Log::Records).head().position + 10);
        backup.finish(About { taken_at, time_zone: "Asia/Makassar".to_owned() })
    }
}

fn second(second: u64) -> Timestamp {
    Timestamp::from_second(i64::try_from(second).unwrap()).unwrap()
}

/// Files that cost one for each thing done and each byte written, and fail when so much was done: the process was killed there. Nothing is
/// synced, as no machine fails here.
#[derive(Clone)]
struct Killed {
    left: Rc<Cell<u64>>,
}

impl Killed {
    fn after(steps: u64) -> Self {
        Self { left: Rc::new(Cell::new(steps)) }
    }

    fn spend(&self, steps: u64) -> io::Result<()> {
        let left = self.left.get().checked_sub(steps);
        self.left.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or_else(|| io::Error::other("killed"))
    }
}

impl Files for Killed {
    fn create(&mut self, path: &Path) -> io::Result<File> {
        self.spend(1)?;
        Disk.create(path)
    }

    fn write(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let fits = usize::try_from(self.left.get()).unwrap().min(bytes.len());
        file.write_all(&bytes[..fits])?;
        self.spend(bytes.len() as u64)
    }

    fn sync(&mut self, _: &File) -> io::Result<()> {
        self.spend(1)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend(1)?;
        Disk.rename(from, to)
    }

    fn sync_folder(&mut self, _: &Path) -> io::Result<()> {
        self.spend(1)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.spend(1)?;
        Disk.remove(path)
    }
}

/// What a log in a backup reads as: where it is cut, and how many frames and whole commits lie before that.
fn read(folder: &Path, log: Log, cut: Cut) -> Result<(Head, usize, usize), ReadError> {
    let (mut frames, mut commits) = (0, 0);
    let head = Reader::open(folder, None)?.read(log, cut, &mut |_, _, commit| {
        frames += 1;
        commits += usize::from(commit.is_some());
        Ok(())
    })?;
    Ok((head, frames, commits))
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for name in names(from) {
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

#[test]
fn a_run_adds_segments_and_rewrites_none() {
    let (server, folder) = (Server::new(), tempfile::tempdir().unwrap());
    let folder = folder.path().join("new/backup");
    server.append(Log::Records, &[100; 30]);
    // One that is longer than a segment, and than a frame.
    let first = server.append(Log::Records, &[10, 20_000, 10]);
    server.append(Log::Access, &[40; 3]);
    let done = server.back_up(&folder, Disk).unwrap();
    assert_eq!((done.added[0].records, done.added[0].segments, done.heads[0]), (33, 2, first));
    let before: Vec<(String, Vec<u8>)> = names(&folder)
        .into_iter()
        .filter(|name| name.ends_with(".frames"))
        .map(|name| (name.clone(), fs::read(folder.join(name)).unwrap()))
        .collect();
    assert_eq!(before.len(), 3);

    let second = server.append(Log::Records, &[100]);
    let done = server.back_up(&folder, Disk).unwrap();
    assert_eq!((done.added[0].records, done.added[1].records), (1, 0));
    for (name, bytes) in before {
        assert_eq!(fs::read(folder.join(&name)).unwrap(), bytes, "{name}");
    }
    assert_eq!(read(&folder, Log::Records, Cut::End).unwrap().0, second);
    assert_eq!(read(&folder, Log::Access, Cut::End).unwrap().0, server.journal(Log::Access).head());

    // Nothing new is a run too: it says up to when nothing was recorded.
    assert_eq!(server.back_up(&folder, Disk).unwrap().added, [Added::default(); 2]);
}

#[test]
fn a_run_that_is_killed_at_any_byte_leaves_the_last_good_backup_and_the_next_goes_on() {
    let (server, folder) = (Server::new(), tempfile::tempdir().unwrap());
    let fresh = folder.path().join("fresh");
    let good = folder.path().join("good");
    server.append(Log::Access, &[10]);
    let first = server.append(Log::Records, &[30, 30]);
    server.back_up(&good, Disk).unwrap();
    server.append(Log::Records, &[200; 4]);
    server.append(Log::Access, &[10]);
    let last = server.append(Log::Records, &[300; 2]);

    for (name, before) in [("go on", Some(first)), ("begin", None)] {
        let begin = |place: &Path| match before {
            Some(_) => copy(&good, place),
            None => fs::create_dir(place).unwrap(),
        };
        begin(&fresh);
        let whole = Killed::after(u64::MAX);
        server.back_up(&fresh, whole.clone()).unwrap();
        let steps = u64::MAX - whole.left.get();
        fs::remove_dir_all(&fresh).unwrap();
        assert!(steps > 2_000, "{name} takes {steps} steps");

        // The bytes before the first manifest are all alike.
        let stride = if before.is_some() { 1 } else { 7 };
        for killed_after in (0..steps).step_by(stride).chain([steps - 1]) {
            begin(&fresh);
            server.back_up(&fresh, Killed::after(killed_after)).unwrap_err();
            // The last step is the sync of the folder, when the new manifest is in its place already.
            let found = read(&fresh, Log::Records, Cut::End);
            let expected = if killed_after + 1 == steps { Some(last) } else { before };
            match expected {
                Some(head) => assert_eq!(found.unwrap().0, head, "{name}, killed after {killed_after}"),
                None => assert!(matches!(found, Err(ReadError::NoBackup(_))), "{name}, killed after {killed_after}"),
            }
            server.back_up(&fresh, Killed::after(u64::MAX)).unwrap();
            assert_eq!(read(&fresh, Log::Records, Cut::End).unwrap().0, last, "{name}, killed after {killed_after}");
            assert!(names(&fresh).iter().all(|name| !name.ends_with(".part")), "{:?}", names(&fresh));
            fs::remove_dir_all(&fresh).unwrap();
        }
    }
}

#[test]
fn a_point_in_time_is_the_end_of_the_last_commit_before_it() {
    let (server, folder) = (Server::new(), tempfile::tempdir().unwrap());
    let heads: Vec<Head> =
        [&[100; 3][..], &[100, 20_000, 100], &[900; 4], &[5]].map(|commit| server.append(Log::Records, commit)).into();
    server.append(Log::Access, &[5]);
    server.back_up(folder.path(), Disk).unwrap();
    let cut = |cut| read(folder.path(), Log::Records, cut);
    for position in 1..=11 {
        let expected = heads.iter().rev().find(|head| head.position <= position).copied().unwrap_or(Head::EMPTY);
        assert_eq!(cut(Cut::Position(position)).unwrap().0, expected, "position {position}");
        // Each record was recorded in the second of its position.
        assert_eq!(cut(Cut::Time(second(position))).unwrap().0, expected, "second {position}");
    }
    assert_eq!(cut(Cut::Time(second(21))).unwrap().0, heads[3], "nothing was recorded up to the run");
    for outside in [0, 12] {
        assert!(matches!(cut(Cut::Position(outside)), Err(ReadError::NoPosition { last: 11, .. })), "{outside}");
    }
    for outside in [0, 22] {
        assert!(matches!(cut(Cut::Time(second(outside))), Err(ReadError::NoTime { .. })), "{outside}");
    }
}

#[test]
fn any_changed_byte_of_any_file_is_noticed() {
    let (server, folder) = (Server::new(), tempfile::tempdir().unwrap());
    server.append(Log::Records, &[40; 5]);
    server.append(Log::Records, &[900; 2]);
    server.append(Log::Access, &[40]);
    server.back_up(folder.path(), Disk).unwrap();
    let whole =
        |folder: &Path| Log::ALL.map(|log| read(folder, log, Cut::End)).into_iter().collect::<Result<Vec<_>, _>>();
    let good = whole(folder.path()).unwrap();
    let says = |word: &str| fs::read_to_string(folder.path().join("manifest.json")).unwrap().find(word).unwrap();
    // The manifest's own time and zone are for people, and for what is asked for outside the log: no record depends on them.
    let free = says("\"time_zone\"")..says("\"key\"");
    for name in names(folder.path()).iter().filter(|name| *name != "lock") {
        let path = folder.path().join(name);
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            if name == "manifest.json" && (free.contains(&at) || bytes[at].is_ascii_whitespace()) {
                continue;
            }
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(whole(folder.path()).is_err(), "byte {at} of {name}: {good:?}");
        }
        fs::write(&path, &bytes).unwrap();
    }
    assert_eq!(whole(folder.path()).unwrap(), good);
}

#[test]
fn a_missing_a_shorter_and_an_exchanged_segment_are_named() {
    let (server, folder) = (Server::new(), tempfile::tempdir().unwrap());
    for _ in 0..3 {
        server.append(Log::Records, &[500; 3]);
    }
    server.append(Log::Access, &[40]);
    server.back_up(folder.path(), Disk).unwrap();
    let segments: Vec<String> = names(folder.path()).into_iter().filter(|name| name.starts_with("records-")).collect();
    assert_eq!(segments.len(), 3);
    for name in &segments {
        let path = folder.path().join(name);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let error = read(folder.path(), Log::Records, Cut::End).unwrap_err();
        assert!(matches!(&error, ReadError::Missing { file, .. } if file == name), "{error}");
        // Even what lies before it is not given out: it would not be proven.
        assert!(read(folder.path(), Log::Records, Cut::Position(1)).is_err());
        let error = server.back_up(folder.path(), Disk).unwrap_err();
        assert!(matches!(&error, BackupError::Segment { file, .. } if file == name), "{error}");
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let error = read(folder.path(), Log::Records, Cut::End).unwrap_err();
        assert!(matches!(&error, ReadError::Altered { file, .. } if file == name), "{error}");
        fs::write(&path, &bytes).unwrap();
    }
    fs::copy(folder.path().join(&segments[0]), folder.path().join(&segments[1])).unwrap();
    let error = read(folder.path(), Log::Records, Cut::End).unwrap_err();
    assert!(matches!(&error, ReadError::Altered { file, .. } if *file == segments[1]), "{error}");
}

#[test]
fn a_folder_of_something_else_another_log_another_key_and_another_history_are_refused() {
    let (server, folder) = (Server::new(), tempfile::tempdir().unwrap());
    server.append(Log::Records, &[10; 5]);
    server.append(Log::Records, &[10; 5]);
    server.append(Log::Access, &[10]);
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("thesis.odt"), "").unwrap();
    let error = server.back_up(&other, Disk).unwrap_err();
    assert!(matches!(&error, BackupError::NotABackup { found, .. } if found == "thesis.odt"), "{error}");
    assert!(matches!(Reader::open(&other, None), Err(ReadError::NoBackup(_))));

    let place = folder.path().join("backup");
    server.back_up(&place, Disk).unwrap();
    let key = server.public_key();
    Reader::open(&place, Some(&key)).unwrap();
    let elsewhere = PublicKey::of("contoh", &SigningKey::from_bytes(&[4; 32])).to_string();
    assert!(matches!(Reader::open(&place, Some(&elsewhere)), Err(ReadError::AnotherKey { .. })));
    assert!(matches!(Reader::open(&place, Some("contoh")), Err(ReadError::Key(_))));

    let error = Server { log_id: "another", ..Server::new() }.back_up(&place, Disk).unwrap_err();
    assert!(matches!(error, BackupError::AnotherLog { .. }), "{error}");
    let rekeyed = Server { key: SigningKey::from_bytes(&[4; 32]), ..Server::new() };
    let error = rekeyed.back_up(&place, Disk).unwrap_err();
    assert!(matches!(error, BackupError::AnotherKey { .. }), "{error}");
    // Restored to the first commit: behind the backup, and once it has grown beside it.
    let restored = Server::new();
    restored.append(Log::Records, &[10; 5]);
    let error = restored.back_up(&place, Disk).unwrap_err();
    assert!(matches!(error, BackupError::Diverged { .. }), "{error}");
    restored.append(Log::Records, &[11; 5]);
    let error = restored.back_up(&place, Disk).unwrap_err();
    assert!(matches!(error, BackupError::Diverged { .. }), "{error}");
    restored.append(Log::Records, &[11; 5]);
    let error = restored.back_up(&place, Disk).unwrap_err();
    assert!(matches!(error, BackupError::Diverged { .. }), "{error}");
    // Whoever has it is alone with it.
    let held = Backup::open(&place, Disk, 1_000).unwrap();
    assert!(matches!(server.back_up(&place, Disk), Err(BackupError::Busy(_))));
    drop(held);
    assert_eq!(read(&place, Log::Records, Cut::End).unwrap().0, server.journal(Log::Records).head());
}

#[test]
fn what_cannot_be_read_now_is_not_called_damaged_and_what_is_missing_is_named_without_reading() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new();
    server.append(Log::Records, &[10; 5]);
    server.append(Log::Access, &[10]);
    let place = folder.path().join("backup");
    server.back_up(&place, Disk).unwrap();
    let (manifest, aside) = (place.join("manifest.json"), folder.path().join("aside"));

    // A folder in its place cannot be read, as little as a file of somebody else's.
    fs::rename(&manifest, &aside).unwrap();
    fs::create_dir(&manifest).unwrap();
    let error = Reader::open(&place, None).unwrap_err();
    assert!(matches!(error, ReadError::Io(_)) && !error.to_string().contains("another copy"), "{error}");
    let error = server.back_up(&place, Disk).unwrap_err();
    assert!(matches!(error, BackupError::Io(_)) && !error.to_string().contains("begin another"), "{error}");
    fs::remove_dir(&manifest).unwrap();
    fs::rename(&aside, &manifest).unwrap();
    let forbidden = satgas_backup::Io { path: manifest, cause: io::ErrorKind::PermissionDenied.into() };
    assert!(forbidden.to_string().contains("run this as the user that the folder belongs to"), "{forbidden}");

    Reader::open(&place, None).unwrap().has_all().unwrap();
    for log in Log::ALL {
        let segment = place.join(format!("{log}-00000000000000000001.frames"));
        let bytes = fs::read(&segment).unwrap();
        fs::write(&segment, &bytes[1..]).unwrap();
        assert!(matches!(Reader::open(&place, None).unwrap().has_all(), Err(ReadError::Altered { .. })));
        fs::remove_file(&segment).unwrap();
        assert!(matches!(Reader::open(&place, None).unwrap().has_all(), Err(ReadError::Missing { .. })));
        fs::write(&segment, bytes).unwrap();
    }
}
