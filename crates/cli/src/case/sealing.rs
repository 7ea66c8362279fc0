//! `satgas case erase` and `satgas case hold`: ends what is known of who the people of a case are, or keeps it for the law.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Subcommand;
use satgas_proto::v1;

use crate::{
    codes::{self, Code as _},
    connect::{Connection, Log, unary},
    print, time,
};

/// Steps of an erasure.
#[derive(Debug, Subcommand)]
pub(crate) enum Erase {
    /// Ask that a case's identities be erased; a second person must approve it
    Request {
        /// Id of the case
        case_id: String,
        /// Why, 10 to 500 characters; no names
        #[arg(long)]
        reason: String,
    },
    /// Decline an erasure that somebody else asked for, or withdraw your own; it can be asked for again
    Decline {
        /// Id of the case
        case_id: String,
        /// Why, 10 to 500 characters; no names
        #[arg(long)]
        reason: String,
    },
    /// Approve an erasure that somebody else asked for: the case's key is destroyed, for ever
    Approve {
        /// Id of the case
        case_id: String,
        /// Id of the command, to repeat one that failed half-way [default: a new one]
        #[arg(long, value_name = "UUID")]
        command_id: Option<String>,
    },
}

/// Steps of a hold.
#[derive(Debug, Subcommand)]
pub(crate) enum Hold {
    /// Place a legal hold: no erasure is taken while it stands
    Place {
        /// Id of the case
        case_id: String,
        /// Why, such as the number of the proceedings, 10 to 500 characters; no names
        #[arg(long)]
        reason: String,
        /// When it ends by itself, in the log's local time or with an offset [default: never]
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
    },
    /// Lift a legal hold
    Lift {
        /// Id of the case
        case_id: String,
        /// Id of the hold, as `satgas case show` prints it
        hold_id: String,
        /// Why, 10 to 500 characters; no names
        #[arg(long)]
        reason: String,
    },
}

/// Does a step of an erasure.
pub(super) async fn erase(command: Erase, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let mut client = server.erasures();
    let sealing = match command {
        Erase::Request { case_id, reason } => {
            let request = v1::RequestErasureRequest { command_id: new_id(), case_id, reason };
            client.request_erasure(unary(request)).await?.into_inner().sealing
        }
        Erase::Decline { case_id, reason } => {
            let request = v1::DeclineErasureRequest { command_id: new_id(), case_id, reason };
            client.decline_erasure(unary(request)).await?.into_inner().sealing
        }
        Erase::Approve { case_id, command_id } => {
            let command_id = command_id.unwrap_or_else(new_id);
            let request = v1::ApproveErasureRequest { command_id: command_id.clone(), case_id };
            let response = client.approve_erasure(unary(request)).await;
            response
                .with_context(|| format!("when it is mended, go on with --command-id {command_id}"))?
                .into_inner()
                .sealing
        }
    };
    show(sealing, log)
}

/// Does a step of a hold.
pub(super) async fn hold(command: Hold, server: &Connection, log: &Log) -> anyhow::Result<ExitCode> {
    let mut client = server.erasures();
    let sealing = match command {
        Hold::Place { case_id, reason, until } => {
            let until = until.map(|text| time::parse(&text, &log.zone)).transpose();
            let until = until.map_err(anyhow::Error::msg).context("--until")?.map(time::to_proto);
            let request = v1::PlaceHoldRequest { command_id: new_id(), case_id, reason, until };
            client.place_hold(unary(request)).await?.into_inner().sealing
        }
        Hold::Lift { case_id, hold_id, reason } => {
            let request = v1::LiftHoldRequest { command_id: new_id(), case_id, hold_id, reason };
            client.lift_hold(unary(request)).await?.into_inner().sealing
        }
    };
    show(sealing, log)
}

pub(super) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn show(sealing: Option<v1::CaseSealing>, log: &Log) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    print::banner(&mut out, log.sample_data)?;
    write(&mut out, &sealing.unwrap_or_default(), log)?;
    Ok(ExitCode::SUCCESS)
}

/// Who did it, by the subject and the role, as the end of a sentence; nothing where it is not said.
pub(super) fn by(actor: Option<&v1::Actor>) -> String {
    let Some(v1::Actor { id, role, subject }) = actor else { return String::new() };
    format!(" by {} ({role})", if subject.is_empty() { id } else { subject })
}

/// Writes what is sealed, held and erased of a case.
pub(super) fn write(out: &mut impl Write, sealing: &v1::CaseSealing, log: &Log) -> io::Result<()> {
    let at = |moment| time::show(moment, &log.zone);
    for identity in &sealing.identities {
        let kind = codes::label::<v1::IdentityKind>(identity.kind);
        let erased = if identity.erased { ", erased" } else { "" };
        let who = by(identity.by.as_ref());
        writeln!(out, "identity        {kind}, sealed {}{who}{erased}", at(identity.sealed_at.as_ref()))?;
        for earlier in &identity.earlier {
            let (when, who) = (at(earlier.sealed_at.as_ref()), by(earlier.by.as_ref()));
            writeln!(out, "  before it     sealed {when}{who}: event {}", earlier.sealed_position)?;
        }
    }
    for hold in &sealing.holds {
        let until = hold.until.as_ref().map_or_else(String::new, |until| format!(" until {}", at(Some(until))));
        writeln!(
            out,
            "hold            {} since {}{until}: {}",
            hold.hold_id,
            at(hold.placed_at.as_ref()),
            hold.reason
        )?;
    }
    if sealing.erasure != 0 {
        let by = sealing.erasure_requested_by.clone().unwrap_or_default().id;
        let status = sealing.erasure().label();
        let reason = &sealing.erasure_reason;
        writeln!(out, "erasure         {status} {}, asked for by {by}: {reason}", at(sealing.erasure_at.as_ref()))?;
    }
    Ok(())
}
