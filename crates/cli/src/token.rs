//! `satgas token`: tokens, and codes that phones exchange for them. Secrets are printed once, alone on standard output, or written to a file.
//! `recover` asks no server: it is the way back in for whoever owns the data folder.

use std::{
    io::{self, Read as _, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use qrcode::{QrCode, render::unicode};
use satgas_proto::v1::{self, assignment::Own};
use satgas_server::SystemClock;

use crate::{
    connect::{Connection, Log, unary},
    print::{self, Align, ListFormat, Table},
    secret::write_secret,
    time::show,
};

/// What is left of a task force's token that has ended.
pub(crate) const LATE: &str = "records of before are kept apart and count when a supervisor admits them";

/// What is done with tokens.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Issue a token and print its secret
    Issue(Issue),
    /// List tokens, never their secrets
    List(List),
    /// End a token at once
    Revoke(Revoke),
    /// End a token of one's own at once: the one in use, or another one of the same subject
    End(End),
    /// Make a code that one phone may exchange for a token, once and soon
    Enrol(Enrol),
    /// Exchange a code, read from standard input, for a token
    Exchange(Exchange),
    /// Tell what the token in use may do
    Whoami,
    /// Write a new operator's token into a data folder that no server uses, in the place of one that was lost, which ends
    Recover(Recover),
}

/// For whom a token is.
#[derive(Debug, clap::Args)]
pub(crate) struct For {
    /// What its holder does
    #[arg(long, value_enum)]
    role: Role,
    /// Of satgas: the code of its area, such as 53.71.03.1010
    #[arg(long, value_name = "CODE", conflicts_with = "institution")]
    area: Option<String>,
    /// Of institution: its id
    #[arg(long, value_name = "ID")]
    institution: Option<String>,
    /// What it is for; no names
    #[arg(long = "for", value_name = "TEXT")]
    purpose: String,
    /// Who holds it, such as petugas-17: no name, and the same in all tokens of one person, so that the next goes on where the last
    /// ended
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// How long it is valid, such as 90d or 12h [default: 90d]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires: Option<pbjson_types::Duration>,
}

/// A role that tokens are issued for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Task force of a kelurahan
    Satgas,
    /// Task force inside an institution
    Institution,
    /// Staff of UPTD PPA
    CaseWorker,
    /// The agency's dashboard
    Dashboard,
    /// Evaluator
    Evaluator,
    /// Supervisor at Dinas P3A
    Supervisor,
    /// Operator of the server
    Operator,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Issue {
    #[command(flatten)]
    whom: For,
    /// Write the secret to a new file that only its owner reads, instead of printing it
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Also those that expired or were revoked
    #[arg(long)]
    all: bool,
    /// How the list is printed
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    /// Its id, as `token list` shows it
    #[arg(value_name = "ID")]
    id: String,
    /// Why; no names
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct End {
    /// Its id, as `token whoami` shows it [default: the token in use]
    #[arg(value_name = "ID", default_value = "", hide_default_value = true)]
    id: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Enrol {
    #[command(flatten)]
    whom: For,
    /// How long the code is valid, such as 15m [default: 15m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    code_expires: Option<pbjson_types::Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Exchange {
    /// Write the secret to a new file that only its owner reads, instead of printing it
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Recover {
    /// Data folder of the server; refused while one uses it
    #[arg(long, value_name = "DIR", env = "SATGAS_DATA", default_value = "satgas-data")]
    data: PathBuf,
    /// Exchange the key that signs tokens as well: every token ends
    #[arg(long)]
    new_key: bool,
}

/// Writes a new operator's token: on the machine that has the data, without a server.
pub(crate) async fn recover(args: &Recover) -> anyhow::Result<ExitCode> {
    let recovered = satgas_server::recover_operator(&args.data, args.new_key, Arc::new(SystemClock)).await?;
    let ended = if args.new_key { "every token of before has ended" } else { "the one of before has ended" };
    eprintln!("token {} lies in {}; {ended}", recovered.token_id, recovered.file.display());
    Ok(ExitCode::SUCCESS)
}

/// Does it.
pub(crate) async fn run(command: Command, server: &Connection, url: &str) -> anyhow::Result<ExitCode> {
    match command {
        Command::Issue(args) => issue(args, server).await?,
        Command::List(args) => list(&args, server).await?,
        Command::Revoke(args) => revoke(args, server).await?,
        Command::End(End { id }) => {
            server.identity().end_own_token(unary(v1::EndOwnTokenRequest { token_id: id })).await?;
        }
        Command::Enrol(args) => enrol(args, server, url).await?,
        Command::Exchange(args) => exchange(args, server).await?,
        Command::Whoami => whoami(server).await?,
        Command::Recover(args) => return recover(&args).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn issue(args: Issue, server: &Connection) -> anyhow::Result<()> {
    let assignment = Some(args.whom.assignment()?);
    let For { purpose, subject, expires: lifetime, .. } = args.whom;
    let subject = subject.unwrap_or_default();
    let request = v1::IssueTokenRequest { assignment, purpose, lifetime, subject };
    let issued = server.identity().issue_token(unary(request)).await?.into_inner();
    hand_over(&issued.token.unwrap_or_default().token_id, &issued.secret, args.to)
}

async fn exchange(args: Exchange, server: &Connection) -> anyhow::Result<()> {
    let mut code = String::new();
    io::stdin().take(256).read_to_string(&mut code).context("the code cannot be read from standard input")?;
    let request = v1::EnrolRequest { code: code.trim().to_owned() };
    let enrolled = server.identity().enrol(unary(request)).await?.into_inner();
    hand_over(&enrolled.token.unwrap_or_default().token_id, &enrolled.secret, args.to)
}

fn hand_over(id: &str, secret: &str, to: Option<PathBuf>) -> anyhow::Result<()> {
    match to {
        Some(file) => {
            write_secret(&file, secret)?;
            eprintln!("token {id} lies in {}", file.display());
        }
        None => {
            eprintln!("token {id}; its secret, which cannot be asked for again:");
            writeln!(io::stdout().lock(), "{secret}")?;
        }
    }
    Ok(())
}

async fn list(args: &List, server: &Connection) -> anyhow::Result<()> {
    let log = server.log().await?;
    let (mut tokens, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListTokensRequest { include_ended: args.all, page_size: 1_000, page_token };
        let page = server.identity().list_tokens(unary(request)).await?.into_inner();
        tokens.extend(page.tokens);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    print::list(args.format, &tokens, &table_of(&tokens, &log), log.sample_data)
}

async fn revoke(Revoke { id, reason }: Revoke, server: &Connection) -> anyhow::Result<()> {
    // Asked first: the token in use may be the one that ends.
    let log = server.log().await?;
    let request = v1::RevokeTokenRequest { token_id: id, reason };
    let still_valid = server.identity().revoke_token(unary(request)).await?.into_inner().still_valid;
    if still_valid.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    print::banner(&mut out, log.sample_data)?;
    writeln!(out, "still valid, of the same subject:")?;
    table_of(&still_valid, &log).write(&mut out)?;
    Ok(())
}

fn table_of(tokens: &[v1::Token], log: &Log) -> Table {
    let mut table = Table::new(
        ["token", "role", "own", "subject", "for", "expires", "revoked", "because"].map(|title| (title, Align::Left)),
    );
    for token in tokens {
        let assignment = token.assignment.clone().unwrap_or_default();
        table.row(vec![
            token.token_id.clone(),
            role_name(assignment.role()),
            own(&assignment).to_owned(),
            token.subject.clone(),
            token.purpose.clone(),
            show(token.expires_at.as_ref(), &log.zone),
            show(token.revoked_at.as_ref(), &log.zone),
            token.revoked_reason.clone(),
        ]);
    }
    table
}

async fn enrol(args: Enrol, server: &Connection, url: &str) -> anyhow::Result<()> {
    let log = server.log().await?;
    let request = v1::CreateEnrolmentRequest {
        assignment: Some(args.whom.assignment()?),
        purpose: args.whom.purpose,
        lifetime: args.whom.expires,
        code_lifetime: args.code_expires,
        subject: args.whom.subject.unwrap_or_default(),
    };
    let created = server.identity().create_enrolment(unary(request)).await?.into_inner();
    // The part behind # is for the phone alone: no server between sees it.
    let link = format!("satgas:{url}#{}", created.code);
    let picture = QrCode::new(&link).context("the code does not fit into a picture")?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", picture.render::<unicode::Dense1x2>().build())?;
    writeln!(out, "{}", created.code)?;
    eprintln!("to be used once, before {}", show(created.expires_at.as_ref(), &log.zone));
    Ok(())
}

async fn whoami(server: &Connection) -> anyhow::Result<()> {
    let log = server.log().await?;
    let answer = server.identity().who_am_i(unary(v1::WhoAmIRequest {})).await?.into_inner();
    let assignment = answer.assignment.unwrap_or_default();
    let mut out = io::stdout().lock();
    print::banner(&mut out, log.sample_data)?;
    writeln!(out, "token   {}", answer.token_id)?;
    writeln!(out, "role    {} {}", role_name(assignment.role()), own(&assignment))?;
    writeln!(out, "subject {}", answer.subject)?;
    match &answer.ended_at {
        None => writeln!(out, "expires {}", show(answer.expires_at.as_ref(), &log.zone))?,
        ended => writeln!(out, "ended   {}; {LATE}", show(ended.as_ref(), &log.zone))?,
    }
    if answer.tokens.len() > 1 {
        writeln!(out, "all of this subject that are valid:")?;
        table_of(&answer.tokens, &log).write(&mut out)?;
    }
    Ok(())
}

impl For {
    fn assignment(&self) -> anyhow::Result<v1::Assignment> {
        let role = match self.role {
            Role::Satgas => v1::Role::Satgas,
            Role::Institution => v1::Role::Institution,
            Role::CaseWorker => v1::Role::CaseWorker,
            Role::Dashboard => v1::Role::Dashboard,
            Role::Evaluator => v1::Role::Evaluator,
            Role::Supervisor => v1::Role::Supervisor,
            Role::Operator => v1::Role::Operator,
        };
        let own = match (self.role, &self.area, &self.institution) {
            (Role::Satgas, Some(area), None) => Some(Own::AreaCode(area.clone())),
            (Role::Institution, None, Some(id)) => Some(Own::InstitutionId(id.clone())),
            (Role::Satgas, ..) => bail!("satgas needs its --area, such as --area 53.71.03.1010"),
            (Role::Institution, ..) => bail!("institution needs its --institution, such as a school's NPSN"),
            (_, None, None) => None,
            _ => bail!("--area is for satgas and --institution for institution; other roles have neither"),
        };
        Ok(v1::Assignment { role: role.into(), own })
    }
}

fn role_name(role: v1::Role) -> String {
    role.as_str_name().trim_start_matches("ROLE_").to_ascii_lowercase()
}

fn own(assignment: &v1::Assignment) -> &str {
    match &assignment.own {
        Some(Own::AreaCode(code)) => code,
        Some(Own::InstitutionId(id)) => id,
        None => "",
    }
}

/// "90d", "12h", "15m", "30s".
pub(crate) fn duration(text: &str) -> Result<pbjson_types::Duration, String> {
    let wrong = || format!("`{text}` is no duration: write it as 90d, 12h, 15m or 30s");
    let (digits, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let unit_s = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return Err(wrong()),
    };
    let number: i64 = digits.parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(unit_s).filter(|seconds| *seconds > 0).ok_or_else(wrong)?;
    Ok(pbjson_types::Duration { seconds, nanos: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_its_unit() {
        let seconds = |text: &str| duration(text).ok().map(|duration| duration.seconds);
        assert_eq!(["90d", "12h", "15m", "30s"].map(seconds), [7_776_000, 43_200, 900, 30].map(Some));
        assert!(
            ["", "90", "d", "-1d", "0s", "1 d", "9999999999999999d", "9é"].into_iter().all(|t| seconds(t).is_none())
        );
    }
}
