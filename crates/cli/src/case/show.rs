//! A case, or many, for people.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use satgas_proto::v1;

use super::{sealing, steps};
use crate::{
    codes,
    connect::Log,
    print::{self, Align, Format, Table},
    time,
};

/// Prints one case.
pub(super) fn print(format: Format, case: &v1::Case, log: &Log) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match format {
        Format::Text => {
            print::banner(&mut out, log.sample_data)?;
            write(&mut out, case, log)?;
        }
        Format::Json => {
            print::banner(&mut io::stderr().lock(), log.sample_data)?;
            writeln!(out, "{}", serde_json::to_string_pretty(case)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write(out: &mut impl Write, case: &v1::Case, log: &Log) -> io::Result<()> {
    let at = |moment| time::show(moment, &log.zone);
    writeln!(out, "case            {}", case.case_id)?;
    writeln!(out, "version         {}", case.version)?;
    writeln!(out, "status          {}", codes::label::<v1::CaseStatus>(case.status))?;
    writeln!(out, "risk            {}", codes::label::<v1::Risk>(case.risk))?;
    writeln!(out, "area            {} {}", case.area_code, case.institution_id)?;
    writeln!(out, "reported        {}", at(case.reported_at.as_ref()))?;
    writeln!(out, "response due    {}", at(case.response_due_at.as_ref()))?;
    writeln!(out, "first response  {}", at(case.first_response_at.as_ref()))?;
    if let Some(report) = &case.report {
        write_report(out, report)?;
    }
    for service in &case.services {
        let label = codes::label::<v1::Service>(service.service);
        writeln!(out, "service         {}  {label}", at(service.given_at.as_ref()))?;
    }
    for v1::CaseFollowUp { follow_up, completed_at } in &case.follow_ups {
        let v1::FollowUp { number, action, due_on } = follow_up.clone().unwrap_or_default();
        let done = completed_at.as_ref().map_or_else(|| "open".to_owned(), |t| format!("done {}", at(Some(t))));
        writeln!(out, "follow-up {number:<5} due {due_on}, {done}: {action}")?;
    }
    write_course(out, case)?;
    if let Some(sealing) = &case.sealing {
        sealing::write(out, sealing, log)?;
    }
    writeln!(out, "allowed now     {}", steps::in_words(case.allowed_steps.iter().map(String::as_str)))
}

fn write_report(out: &mut impl Write, report: &v1::CaseReport) -> io::Result<()> {
    let labels = |list: Vec<String>| if list.is_empty() { "-".to_owned() } else { list.join(", ") };
    let violence = report.violence.iter().map(|&code| codes::label::<v1::Violence>(code)).collect();
    let electronic = report.electronic.iter().map(|&code| codes::label::<v1::ElectronicViolence>(code)).collect();
    let extortion = if report.extortion { " (with extortion)" } else { "" };
    writeln!(out, "violence        {}", labels(violence))?;
    writeln!(out, "KSBE            {}{extortion}", labels(electronic))?;
    writeln!(out, "place           {}", codes::label::<v1::Place>(report.place))?;
    let age = codes::label::<v1::AgeGroup>(report.victim_age).replace(' ', "-");
    let disability = if report.victim_disability { ", disability" } else { "" };
    writeln!(out, "victim          {age} years, {}{disability}", codes::label::<v1::Sex>(report.victim_sex))?;
    writeln!(out, "offender        {}", codes::label::<v1::Offender>(report.offender))
}

fn write_course(out: &mut impl Write, case: &v1::Case) -> io::Result<()> {
    if case.referral_status != 0 {
        let status = codes::label::<v1::ReferralStatus>(case.referral_status);
        writeln!(out, "referral        {status}: {}", case.referred_to_institution_id)?;
    }
    if case.in_shelter {
        writeln!(out, "shelter         in the shelter")?;
    }
    if case.legal_stage != 0 {
        writeln!(out, "legal stage     {}", codes::label::<v1::LegalStage>(case.legal_stage))?;
    }
    match &case.verdict {
        Some(v1::RecordVerdict { guilty: true, prison_months }) => {
            writeln!(out, "verdict         guilty, {prison_months} months")?;
        }
        Some(_) => writeln!(out, "verdict         not guilty")?,
        None => {}
    }
    if case.outcome != 0 {
        writeln!(out, "outcome         {}", codes::label::<v1::CaseOutcome>(case.outcome))?;
    }
    if !case.merged_into_case_id.is_empty() {
        writeln!(out, "merged into     {}", case.merged_into_case_id)?;
    }
    Ok(())
}

/// A row for each case.
pub(super) fn table(cases: &[v1::Case], log: &Log) -> Table {
    let mut table = Table::new([
        ("case", Align::Left),
        ("area", Align::Left),
        ("institution", Align::Left),
        ("version", Align::Right),
        ("status", Align::Left),
        ("risk", Align::Left),
        ("reported", Align::Left),
        ("response_due", Align::Left),
        ("first_response", Align::Left),
        ("follow_ups_open", Align::Right),
    ]);
    for case in cases {
        let open = case.follow_ups.iter().filter(|follow_up| follow_up.completed_at.is_none()).count();
        table.row(vec![
            case.case_id.clone(),
            case.area_code.clone(),
            case.institution_id.clone(),
            case.version.to_string(),
            codes::label::<v1::CaseStatus>(case.status),
            codes::label::<v1::Risk>(case.risk),
            time::show(case.reported_at.as_ref(), &log.zone),
            time::show(case.response_due_at.as_ref(), &log.zone),
            time::show(case.first_response_at.as_ref(), &log.zone),
            open.to_string(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn a_case_is_shown_with_what_is_open_and_what_may_come_next() {
        let follow_up = v1::FollowUp { number: 2, action: "kontrol psikolog".into(), due_on: "2026-04-01".into() };
        let case = v1::Case {
            version: 4,
            status: v1::CaseStatus::DalamLayanan.into(),
            report: Some(v1::CaseReport { victim_age: v1::AgeGroup::AgeGroup1317.into(), ..Default::default() }),
            follow_ups: vec![v1::CaseFollowUp { follow_up: Some(follow_up), completed_at: None }],
            allowed_steps: vec!["record_service".into(), "complete_follow_up".into()],
            ..Default::default()
        };
        let mut out = Vec::new();
        let log = Log { sample_data: false, zone: TimeZone::UTC, head_position: 9, shows_all: true };
        write(&mut out, &case, &log).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("status          dalam layanan\n"), "{text}");
        assert!(text.contains("victim          13-17 years"), "{text}");
        assert!(text.contains("follow-up 2     due 2026-04-01, open: kontrol psikolog\n"), "{text}");
        assert!(text.ends_with("allowed now     service, complete\n"), "{text}");
    }
}
