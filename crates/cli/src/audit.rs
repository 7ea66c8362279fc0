//! `satgas audit`: the cases whose data a token could have seen, as the notice of a breach must list them.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use satgas_proto::v1;

use crate::{
    connect::{Connection, unary},
    print::{self, Align, ListFormat, Table},
    time::{parse, show, to_proto},
};

/// Which token, and when.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The token's id, as `token list` shows it
    #[arg(long, value_name = "ID")]
    token: String,
    /// From this time on, such as 2026-03-05 or "2026-03-05 10:00" [default: the beginning]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Up to this time, exclusive [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// How the list is printed
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Lists them.
pub(crate) async fn run(args: Args, server: &Connection) -> anyhow::Result<ExitCode> {
    let log = server.log().await?;
    let moment = |text: &Option<String>| {
        let parsed = text.as_deref().map(|text| parse(text, &log.zone)).transpose();
        parsed.map(|instant| instant.map(to_proto)).map_err(anyhow::Error::msg)
    };
    let (from, to) = (moment(&args.from)?, moment(&args.to)?);
    let (mut cases, mut page_token) = (Vec::new(), String::new());
    let rpcs = loop {
        let token_id = args.token.clone();
        let request = v1::ListAccessRequest { token_id, from, to, page_size: 10_000, page_token };
        let page = server.audit().list_access(unary(request)).await?.into_inner();
        cases.extend(page.cases);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break page.rpcs;
        }
    };
    let mut table = Table::new(["case", "first", "last"].map(|title| (title, Align::Left)));
    for case in &cases {
        table.row(vec![
            case.case_id.clone(),
            show(case.first_at.as_ref(), &log.zone),
            show(case.last_at.as_ref(), &log.zone),
        ]);
    }
    print::list(args.format, &cases, &table, log.sample_data)?;
    let mut error = io::stderr().lock();
    writeln!(error, "{} cases", cases.len())?;
    for v1::RpcAccess { rpc, answered, refused } in rpcs {
        writeln!(error, "{rpc}: {answered} answered with data of cases, {refused} refused")?;
    }
    Ok(ExitCode::SUCCESS)
}
