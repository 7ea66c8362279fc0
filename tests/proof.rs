//! Proofs on the real binary: an evaluator carries one to a hearing, heads are kept elsewhere, and every way in which a history can be wrong
//! is named for what it is. All invented.

mod door;
#[path = "access/house.rs"]
#[allow(dead_code, reason = "the house has more rooms than this story needs")]
mod house;
mod process;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use prost::Message as _;
use satgas_proof::{Checkpoint, PublicKey, merkle};
use satgas_proto::v1::{
    self, Role, event::Body, event_service_client::EventServiceClient, get_inclusion_proof_request,
    proof_service_client::ProofServiceClient,
};
use signed_note::{Note, StandardVerifier, VerifierList};
use tonic::Code;

use house::{House, OWN, area, submit, visit};
use process::{Answer, QUIET, Served, satgas, text};

/// Records visits until the log has so many records; the position and id of the last one.
async fn fill(served: &Served, until: u64) -> anyhow::Result<(u64, String)> {
    let door = served.connect().await?;
    loop {
        let visit = visit(&area(OWN));
        let receipt = submit(&door, &visit).await?;
        if receipt.position >= until {
            return Ok((receipt.position, visit.submission_id));
        }
    }
}

/// Checkpoints in a folder of heads, those with fewer records first.
fn kept(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    paths.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('0')));
    paths.sort();
    Ok(paths)
}

fn key_in(folder: &Path) -> anyhow::Result<String> {
    Ok(fs::read_to_string(folder.join("key"))?.trim().to_owned())
}

/// Checks a proof as somebody does who has no server.
fn check(args: &[&str]) -> anyhow::Result<Answer> {
    Ok(satgas(&["check-proof"]).args(args).env("SATGAS_SERVER_URL", "http://127.0.0.1:1").output()?.into())
}

fn refuse(answer: &Answer, words: &[&str]) -> anyhow::Result<()> {
    let named = words.iter().all(|word| answer.error.contains(word));
    ensure!(answer.code == Some(1) && named && answer.out.is_empty(), "{words:?}: {answer:?}");
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    // Keys are refused where others may read them.
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &to.join(entry.file_name()))?,
            false => drop(fs::copy(entry.path(), to.join(entry.file_name()))?),
        }
    }
    Ok(())
}

/// What another program makes of a proof: the checkpoint opened by one implementation, the inclusion checked by another.
fn checked_elsewhere(proof: &str, key: &str, leaf: merkle::Hash) -> anyhow::Result<()> {
    let (head, note) = proof.split_once("\n\n").context("a checkpoint")?;
    let mut lines = head.lines().skip_while(|line| !line.starts_with("index "));
    let index = lines.next().and_then(|line| line.strip_prefix("index ")).context("an index")?.parse()?;
    let hash = |line| tlog_tiles::Hash::parse_hash(line).map_err(|error| anyhow::anyhow!("{error}"));
    let hashes = lines.map(hash).collect::<anyhow::Result<Vec<_>>>()?;
    let verifier = StandardVerifier::new(key).map_err(|error| anyhow::anyhow!("{error}"))?;
    let note = Note::from_bytes(note.as_bytes()).map_err(|error| anyhow::anyhow!("{error}"))?;
    let known = VerifierList::new(vec![Box::new(verifier)]);
    note.verify(&known).map_err(|error| anyhow::anyhow!("{error}"))?;
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).map_err(|error| anyhow::anyhow!("{error}"))?;
    let root = tlog_tiles::Hash(checkpoint.hash().0);
    let checked = tlog_tiles::check_record(&hashes, checkpoint.size(), root, index, tlog_tiles::Hash(leaf));
    checked.map_err(|error| anyhow::anyhow!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluator_carries_a_proof_to_a_hearing_where_no_server_is_asked() -> anyhow::Result<()> {
    let House { served, folder, .. } = House::open_with(&QUIET).await?;
    let place = |name: &str| folder.path().join(name);
    let heads = place("heads");
    // Whoever keeps the heads needs no token that shows anything else.
    let dashboard = served.tokens().await?.of(Role::Dashboard).to_owned();
    let keep = || process::ask(&served.url, &dashboard, &["heads", "--to", text(&heads)]);
    let told = keep()?.good()?;
    ensure!(told.contains("the first that is kept"), "{told}");
    let (position, id) = fill(&served, 300).await?;
    fill(&served, 520).await?;
    let told = keep()?.good()?;
    ensure!(told.contains("goes on from"), "{told}");
    keep()?.good()?;
    let key = key_in(&heads)?;
    let [first, last] = kept(&heads)?.try_into().map_err(|kept| anyhow::anyhow!("two heads: {kept:?}"))?;

    // By the record's id with a supervisor's token, by its position with an evaluator's, who may not read it.
    let (full, blind) = (place("visit.tlog-proof"), place("blind.tlog-proof"));
    served.ask(&["prove", &id, "--since", text(&first), "--to", text(&full)])?.good()?;
    let evaluator = served.tokens().await?.of(Role::Evaluator).to_owned();
    let told = process::ask(&served.url, &evaluator, &["prove", &position.to_string(), "--to", text(&blind)])?;
    ensure!(told.error.contains("the record's hash and not the record"), "{told:?}");
    told.good()?;
    let export = place("q1.csv");
    let args = ["export", "evaluations", "--period", "2026-Q1", "--to", text(&export), "--since", text(&first)];
    let told = served.ask(&args)?.good()?;
    ensure!(told.contains("q1.csv.proof"), "{told}");
    ensure!(served.terminate()? == Some(0));

    let told = check(&[text(&full), "--key", &key, "--since", text(&first)])?.good()?;
    for words in ["ok: the record is at position 300", "520 records", &id, "not that what it says is true"] {
        ensure!(told.contains(words), "{words}: {told}");
    }
    let told = check(&[text(&blind), "--key", &key, "--since", text(&last), "--format", "json"])?.good()?;
    let told: serde_json::Value = serde_json::from_str(&told)?;
    ensure!(
        told["position"] == 300 && told["size"] == 520 && told["event"].is_null() && told["since"] == 520,
        "{told}"
    );
    // The key of the backups is the same key, under another name.
    let backups = key.parse::<PublicKey>()?;
    ensure!(backups.name().ends_with("/records"));
    let told = check(&[text(&place("q1.csv.proof")), "--key", &key, "--since", text(&first)])?.good()?;
    ensure!(told.contains("is the file that was exported") && told.contains("It does not prove the figures"), "{told}");

    // Another implementation of the formats agrees on what the server signed and proved.
    let leaf = told_leaf(&blind, &key)?;
    for proof in [&full, &blind] {
        checked_elsewhere(&fs::read_to_string(proof)?, &key, leaf)?;
        ensure!(checked_elsewhere(&fs::read_to_string(proof)?, &key, [0; 32]).is_err());
    }
    Ok(())
}

fn told_leaf(proof: &Path, key: &str) -> anyhow::Result<merkle::Hash> {
    let told = check(&[text(proof), "--key", key, "--format", "json"])?.good()?;
    let told: serde_json::Value = serde_json::from_str(&told)?;
    let digits = told["leaf_hash"].as_str().context("a leaf")?;
    let mut leaf = [0; 32];
    for (byte, at) in leaf.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(at..at + 2).context("64 digits")?, 16)?;
    }
    Ok(leaf)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_does_not_prove_is_named_for_what_it_is() -> anyhow::Result<()> {
    let House { served, folder, .. } = House::open_with(&QUIET).await?;
    let place = |name: &str| folder.path().join(name);
    let heads = place("heads");
    fill(&served, 30).await?;
    served.ask(&["heads", "--to", text(&heads)])?.good()?;
    fill(&served, 40).await?;
    served.ask(&["heads", "--to", text(&heads)])?.good()?;
    let (key, kept) = (key_in(&heads)?, kept(&heads)?);
    let (proof, export) = (place("a.tlog-proof"), place("q1.csv"));
    served.ask(&["prove", "20", "--size", "35", "--since", text(&kept[0]), "--to", text(&proof)])?.good()?;
    served.ask(&["export", "evaluations", "--period", "2026-Q1", "--to", text(&export)])?.good()?;
    let whole = fs::read_to_string(&proof)?;
    let with = |name: &str, content: &[u8]| -> anyhow::Result<PathBuf> {
        fs::write(place(name), content)?;
        Ok(place(name))
    };
    let answer = |file: &Path, more: &[&str]| check(&[&[text(file), "--key", &key][..], more].concat());
    answer(&proof, &["--since", text(&kept[0])])?.good()?;

    // The proof of one record with the checkpoint of another head.
    let other = fs::read_to_string(&kept[1])?;
    let (head, _) = whole.split_once("\n\n").context("a checkpoint")?;
    let another_head = with("another-head", format!("{head}\n\n{other}").as_bytes())?;
    refuse(&answer(&another_head, &[])?, &["another-head", "not at position 20", "40 records", "another checkpoint"])?;
    let moved = with("moved", whole.replace("index 19\n", "index 20\n").as_bytes())?;
    refuse(&answer(&moved, &[])?, &["not at position 21", "altered or moved"])?;
    let altered_note = with("note", whole.replace("\n35\n", "\n36\n").as_bytes())?;
    refuse(&answer(&altered_note, &[])?, &["altered after it was signed"])?;
    let mut bytes = whole.clone().into_bytes();
    let extra = whole.find("extra ").context("an extra line")? + 60;
    bytes[extra] = if bytes[extra] == b'A' { b'B' } else { b'A' };
    let altered_record = with("record", &bytes)?;
    let told = answer(&altered_record, &[])?;
    ensure!(told.code == Some(1), "{told:?}");

    // A shorter history than the one that was known, and a checkpoint that the file says nothing about.
    refuse(&answer(&proof, &["--since", text(&kept[1])])?, &["truncated", "40 records were known", "has 35"])?;
    let bare = place("bare");
    served.ask(&["prove", "20", "--to", text(&bare)])?.good()?;
    refuse(&answer(&bare, &["--since", text(&kept[0])])?, &["does not prove that it goes on", "--since"])?;

    // Keys: an unknown one, one of another log, none.
    let own: PublicKey = key.parse()?;
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let unknown = PublicKey::of(own.log_id(), &stranger).to_string();
    refuse(&check(&[text(&proof), "--key", &unknown])?, &["not signed with that key"])?;
    let of_another = PublicKey::of("0191-contoh", &stranger).to_string();
    refuse(&check(&[text(&proof), "--key", &of_another])?, &["about another log"])?;
    let forged = Checkpoint { log_id: own.log_id().to_owned(), size: 30, root: [3; 32] }.sign(&stranger);
    let forged = with("forged", forged.as_bytes())?;
    refuse(&answer(&proof, &["--since", text(&forged)])?, &["checkpoint that was kept", "not signed with that key"])?;
    ensure!(check(&[text(&proof), "--key", "satgas"])?.code == Some(64), "a key that is none is a wrong command line");

    // Files that are no proofs.
    for (name, content) in [("empty", &b""[..]), ("photo", &[0xff, 0xd8, 0xff, 0xe0]), ("text", b"pasar\n\npagi\n")] {
        refuse(&answer(&with(name, content)?, &[])?, &[name, "no proof"])?;
    }
    refuse(&answer(&with("large", &vec![b'a'; 5 * 1024 * 1024])?, &[])?, &["larger than"])?;
    refuse(&answer(&export, &[])?, &["q1.csv", "no proof"])?;
    refuse(&answer(&place("nowhere"), &[])?, &["nowhere", "cannot be read"])?;

    // The export beside its proof.
    let of_export = place("q1.csv.proof");
    answer(&of_export, &[])?.good()?;
    let figures = fs::read_to_string(&export)?;
    fs::write(&export, figures.replace("Contoh", "Lain"))?;
    refuse(&answer(&of_export, &[])?, &["not the one that was exported"])?;
    let of_another_head = fs::read_to_string(&of_export)?.replace("\nposition 40\n", "\nposition 39\n");
    let of_another_head = with("figures", of_another_head.as_bytes())?;
    refuse(&answer(&of_another_head, &["--export", text(&export)])?, &["stand on position 39", "another head"])?;

    // What the server refuses to prove.
    for (args, words) in [
        (["prove", "41"], "beyond the log's end at 40"),
        (["prove", "0"], "positions begin at 1"),
        (["prove", "pasar"], "UUID"),
        (["prove", "01990000-0000-7000-8000-000000000000"], "no such record"),
    ] {
        refuse(&served.ask(&args)?, &[words])?;
    }
    refuse(&served.ask(&["prove", "20", "--size", "19"])?, &["beyond the log's end at 19"])?;
    refuse(&served.ask(&["prove", "20", "--size", "41"])?, &["41", "beyond the log's end at 40"])?;
    let mut proofs = ProofServiceClient::new(served.connect().await?);
    let refused = proofs.get_consistency_proof(v1::GetConsistencyProofRequest::default()).await;
    ensure!(refused.is_err_and(|status| status.code() == Code::InvalidArgument));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_rewrites_its_history_is_found_out_by_the_heads_that_were_kept_elsewhere() -> anyhow::Result<()> {
    let House { served, folder, .. } = House::open_with(&QUIET).await?;
    let place = |name: &str| folder.path().join(name);
    let (data, heads) = (place("data"), place("heads"));
    fill(&served, 20).await?;
    ensure!(served.terminate()? == Some(0));
    // The same log, with the same keys, goes on in two ways.
    copy_folder(&data, &place("fork"))?;
    copy_folder(&data, &place("short"))?;
    let served = Served::start_with(&data, &[], &QUIET)?;
    fill(&served, 25).await?;
    let keep = |served: &Served, more: &[&str]| served.ask(&[&["heads", "--to", text(&heads)][..], more].concat());
    keep(&served, &[])?.good()?;
    let before = kept(&heads)?;
    let named = fs::read_to_string(&before[0])?;
    ensure!(served.terminate()? == Some(0));

    let forked = Served::start_with(&place("fork"), &[], &QUIET)?;
    fill(&forked, 25).await?;
    refuse(&keep(&forked, &[])?, &["forked", "25 records", "evidence"])?;
    fill(&forked, 28).await?;
    refuse(&keep(&forked, &[])?, &["forked", "28 records", "25 that were known"])?;
    // On a schedule it ends with the same, instead of going on.
    refuse(&keep(&forked, &["--every", "1h"])?, &["forked"])?;
    let is_evidence = |name: &str| name.starts_with("refused-00000000000000000028-") && name.ends_with(".checkpoint");
    let evidence = fs::read_dir(&heads)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    ensure!(evidence.filter(|name| is_evidence(name)).count() == 1, "two signed heads are the evidence");
    ensure!(forked.terminate()? == Some(0));

    let short = Served::start_with(&place("short"), &[], &QUIET)?;
    refuse(&keep(&short, &[])?, &["truncated", "25 records were known", "has 20"])?;
    ensure!(short.terminate()? == Some(0));

    // A new key is another signer, whoever says otherwise.
    copy_folder(&data, &place("rekeyed"))?;
    fs::remove_file(place("rekeyed/keys/heads.pem"))?;
    let rekeyed = Served::start_with(&place("rekeyed"), &[], &QUIET)?;
    refuse(&keep(&rekeyed, &[])?, &["unknown key", "new folder"])?;
    let told = rekeyed.ask(&["heads", "--to", text(&place("other-heads"))])?.good()?;
    ensure!(told.contains("the first that is kept"), "{told}");
    let other_key = key_in(&place("other-heads"))?;
    refuse(&keep(&rekeyed, &["--key", &other_key])?, &["another key was given"])?;
    ensure!(rekeyed.terminate()? == Some(0));

    // Nothing of all this changed what was kept, and the true log goes on from it.
    ensure!(kept(&heads)? == before && fs::read_to_string(&before[0])? == named);
    let served = Served::start_with(&data, &[], &QUIET)?;
    let told = keep(&served, &[])?.good()?;
    ensure!(told.contains("goes on from 25"), "{told}");
    fs::write(&before[0], named.replace("\n25\n", "\n24\n"))?;
    refuse(&keep(&served, &[])?, &["kept before", "altered after it was signed"])?;
    fs::write(&before[0], "pasar pagi")?;
    refuse(&keep(&served, &[])?, &["kept before", "no signed head"])?;
    ensure!(served.ask(&["heads", "--to", text(&heads), "--every", "besok"])?.code == Some(64));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_be_guessed_of_an_event_has_a_salt_that_nobody_gets_who_sees_less_of_it() -> anyhow::Result<()> {
    let House { served, .. } = House::open_with(&QUIET).await?;
    fill(&served, 20).await?;
    let (channel, tokens) = (served.channel().await?, served.tokens().await?);
    let read = async |role| {
        let door = door::Door::with(channel.clone(), tokens.of(role));
        let request = v1::ReadRequest { page_size: 1_000, ..Default::default() };
        anyhow::Ok(EventServiceClient::new(door).read(request).await?.into_inner().events)
    };
    let stored = read(Role::Supervisor).await?;
    let salted: Vec<&v1::Event> = stored.iter().filter(|event| !event.salt.is_empty()).collect();
    let (registered, others): (Vec<&v1::Event>, Vec<&v1::Event>) =
        stored.iter().partition(|event| matches!(event.body, Some(Body::Registered(_))));
    ensure!(salted.len() == registered.len() && !salted.is_empty() && !others.is_empty(), "{salted:?}");
    ensure!(salted.iter().all(|event| event.salt.len() == 16));
    let different: std::collections::BTreeSet<_> = salted.iter().map(|event| &event.salt).collect();
    ensure!(different.len() == salted.len(), "no salt is used twice");
    // Whoever knows all else of the event does not know its leaf.
    let position = salted[0].position;
    let record = Some(get_inclusion_proof_request::Record::Position(position));
    let request = v1::GetInclusionProofRequest { record, size: 0 };
    let mut proofs = ProofServiceClient::new(served.connect().await?);
    let leaf = proofs.get_inclusion_proof(request).await?.into_inner().leaf_hash;
    let guessed = v1::Event { salt: Default::default(), ..salted[0].clone() };
    ensure!(leaf[..] == merkle::leaf(&salted[0].encode_to_vec()) && leaf[..] != merkle::leaf(&guessed.encode_to_vec()));
    for role in [Role::Dashboard, Role::Satgas] {
        let shaped = read(role).await?;
        ensure!(!shaped.is_empty(), "{role:?} reads events");
        ensure!(shaped.iter().all(|event| event.salt.is_empty()), "{role:?}");
    }
    Ok(())
}

/// The checkpoint of so many records, as the server signs it.
async fn signed(served: &Served, size: u64) -> anyhow::Result<String> {
    let mut proofs = ProofServiceClient::new(served.connect().await?);
    let answer = proofs.get_checkpoint(v1::GetCheckpointRequest { size }).await?.into_inner();
    answer.checkpoint.map(|checkpoint| checkpoint.note).context("a checkpoint")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_is_the_same_from_its_checkpoints_and_from_the_log() -> anyhow::Result<()> {
    let House { served, folder, .. } = House::open_with(&QUIET).await?;
    let data = folder.path().join("data");
    fill(&served, 600).await?;
    let mut expected = Vec::new();
    for size in [1, 255, 256, 257, 512, 600] {
        expected.push((size, signed(&served, size).await?));
    }
    let whole = signed(&served, 0).await?;
    ensure!(served.terminate()? == Some(0));
    // Who has the folder and no server, or restored it, holds the root against that of the checkpoint.
    let checkpoint = Checkpoint::read_unchecked(&whole)?;
    let output = satgas(&["verify", "--data", text(&data), "--format", "json"]).output()?;
    let verified: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let root: String = checkpoint.root.iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(verified["records"] == checkpoint.size && verified["root"] == root.as_str(), "{verified} {root}");
    let is_of_tree = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("tree-");
    let checkpoints = data.join("checkpoints");
    let trees: Vec<_> = fs::read_dir(&checkpoints)?.filter_map(Result::ok).filter(is_of_tree).collect();
    ensure!(!trees.is_empty(), "the tree has checkpoints in {}", checkpoints.display());
    for forgotten in ["nothing", "trees", "all"] {
        match forgotten {
            "trees" => trees.iter().try_for_each(|entry| fs::remove_file(entry.path()))?,
            "all" => fs::remove_dir_all(&checkpoints)?,
            _ => {}
        }
        let served = Served::start_with(&data, &[], &QUIET)?;
        for (size, note) in &expected {
            // Ed25519 signs the same text in the same way.
            ensure!(signed(&served, *size).await? == *note, "without {forgotten}, {size} records");
        }
        if served.terminate()? != Some(0) {
            bail!("it did not stop in order");
        }
    }
    Ok(())
}
