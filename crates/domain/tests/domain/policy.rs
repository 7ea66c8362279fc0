//! Who may do what: the table has a row for every RPC, and scopes match whole segments.

use std::collections::BTreeSet;

use prost::Message as _;
use satgas_domain::policy::{Caller, Grant, Permit, ROLES, Reach, Refusal, Resource, Rpc, decide, grant};
use satgas_proto::v1::{self, EventKind, Role, WarningKind, assignment::Own};

fn satgas(area: &str) -> Caller {
    Caller { role: Role::Satgas, reach: Reach::Area(area.to_owned()) }
}

fn institution(id: &str) -> Caller {
    Caller { role: Role::Institution, reach: Reach::Institution(id.to_owned()) }
}

fn everywhere(role: Role) -> Caller {
    Caller { role, reach: Reach::Everywhere }
}

#[test]
fn every_rpc_of_the_vocabulary_has_a_row_and_every_row_an_rpc() {
    let files = prost_types::FileDescriptorSet::decode(satgas_proto::DESCRIPTORS).unwrap().file;
    let services = files.iter().filter(|file| file.package() == "satgas.v1").flat_map(|file| &file.service);
    let rpcs: BTreeSet<String> = services
        .flat_map(|service| service.method.iter().map(|method| format!("{}/{}", service.name(), method.name())))
        .collect();
    let rows: BTreeSet<String> = Rpc::ALL.iter().map(|rpc| rpc.path().to_owned()).collect();
    assert_eq!(rows, rpcs);
    assert!(Rpc::ALL.iter().all(|rpc| Rpc::from_path(rpc.path()) == Some(*rpc)));
}

#[test]
fn without_a_token_nothing_is_granted_but_to_exchange_a_code_to_report_and_to_read_what_was_published() {
    let open = [Rpc::Enrol, Rpc::SendReport, Rpc::FollowUp, Rpc::ListReleases, Rpc::GetRelease];
    for rpc in Rpc::ALL {
        let expected = if open.contains(rpc) { Grant::Anybody } else { Grant::No };
        assert_eq!(grant(*rpc, Role::Public), expected, "{}", rpc.path());
        assert_eq!(grant(*rpc, Role::Unspecified), Grant::No, "{}", rpc.path());
    }
}

#[test]
fn the_operator_reads_no_records_but_copies_the_logs_for_backups() {
    let granted: Vec<&str> =
        Rpc::ALL.iter().filter(|rpc| grant(**rpc, Role::Operator) != Grant::No).map(|rpc| rpc.path()).collect();
    // What anybody may do tells nothing of a record but to who made it.
    let others = [
        "AuditService/ListAccess",
        "BackupService/CopyLog",
        "BackupService/ConfirmBackup",
        // Heads are kept elsewhere by whoever runs the server; they tell how many records there are.
        "ProofService/GetCheckpoint",
        "ProofService/GetConsistencyProof",
        "PublicReportService/SendReport",
        "PublicReportService/FollowUp",
        "ReleaseService/ListReleases",
        "ReleaseService/GetRelease",
    ];
    assert!(granted.iter().all(|path| path.starts_with("IdentityService/") || others.contains(path)));
}

#[test]
fn single_cases_are_for_those_who_lead_them_report_them_or_supervise() {
    for role in [Role::Dashboard, Role::Evaluator, Role::Operator, Role::Public] {
        for rpc in [Rpc::GetCase, Rpc::ListCases, Rpc::OpenCase, Rpc::AdvanceCase] {
            assert_eq!(grant(rpc, role), Grant::No, "{role:?} {}", rpc.path());
        }
    }
}

#[test]
fn a_prefix_of_half_a_segment_reaches_nothing() {
    let caller = satgas("53.71.03");
    let within = |prefix| decide(&caller, Rpc::ListEvaluations, Resource::Within(prefix)).map(|permit| permit.prefix);
    assert_eq!(within("53.71.03.1010"), Ok("53.71.03.1010"));
    assert_eq!(within("53.71.03"), Ok("53.71.03"));
    for trick in ["53.71.0", "53.71", "53", "5", "53.71.030", "53.71.03x", "53.71.04", ".", "53.71.03.1010/../04"] {
        let granted = within(trick);
        assert!(granted == Err(Refusal::NotOwn) || trick.starts_with("53.71.03."), "{trick}: {granted:?}");
    }
    // And the other way about: a token for half a segment would reach no area.
    let half = satgas("53.71.0");
    assert_eq!(
        decide(&half, Rpc::GetCase, Resource::Of { area: "53.71.03.1010", institution: "" }),
        Err(Refusal::NotOwn)
    );
}

#[test]
fn all_areas_means_all_that_the_caller_may_see() {
    let caller = satgas("53.71.03.1010");
    let permit = decide(&caller, Rpc::ListCases, Resource::Within("")).unwrap();
    assert_eq!((permit.prefix, permit.reach), ("53.71.03.1010", &caller.reach));
    let supervisor = everywhere(Role::Supervisor);
    let permit = decide(&supervisor, Rpc::ListCases, Resource::Within("")).unwrap();
    assert_eq!((permit.prefix, permit.reach), ("", &Reach::Everywhere));
}

#[test]
fn a_task_force_reports_in_its_own_name_only() {
    let reports = |caller: &Caller, area, institution| {
        decide(caller, Rpc::Submit, Resource::ReportedBy { area, institution }).is_ok()
    };
    let kelurahan = satgas("53.71.03.1010");
    assert!(reports(&kelurahan, "53.71.03.1010", ""));
    assert!(!reports(&kelurahan, "53.71.03.1011", ""));
    assert!(!reports(&kelurahan, "53.71.03.1010", "99900001"), "not in the name of a school in its area");
    let office = satgas("53.71");
    assert!(reports(&office, "53.71.03.1010", "") && reports(&office, "53.71.03.1010", "99900001"));
    assert!(!reports(&office, "53.72.03.1010", "99900001"));
    let school = institution("99900001");
    assert!(reports(&school, "", "99900001"));
    assert!(!reports(&school, "", "99900002") && !reports(&school, "53.71.03.1010", ""));
    assert!(!reports(&everywhere(Role::Supervisor), "53.71.03.1010", ""));
}

#[test]
fn a_role_that_has_its_own_and_a_token_without_one_reaches_nothing() {
    assert_eq!(decide(&everywhere(Role::Satgas), Rpc::ListCases, Resource::Unnamed), Err(Refusal::NotOwn));
}

#[test]
fn a_dashboard_gets_everything_in_its_shape_and_warnings_that_are_of_no_case() {
    let caller = everywhere(Role::Dashboard);
    for rpc in [Rpc::Read, Rpc::Subscribe, Rpc::GetEvaluation, Rpc::ListEvaluations, Rpc::ListTrends] {
        let permit: Permit<'_> = decide(&caller, rpc, Resource::Unnamed).unwrap();
        assert_eq!(permit.grant, Grant::Shaped, "{}", rpc.path());
    }
    let permit = decide(&caller, Rpc::ListWarnings, Resource::Unnamed).unwrap();
    assert!(permit.tells_of(WarningKind::GroupSpreads) && !permit.tells_of(WarningKind::ResponseOverdue));
    let shaped = Rpc::ALL.iter().flat_map(|rpc| ROLES.map(|role| (grant(*rpc, role), role)));
    let roles: BTreeSet<Role> = shaped.filter(|(grant, _)| *grant == Grant::Shaped).map(|(_, role)| role).collect();
    assert!(roles.into_iter().eq([Role::Dashboard]), "whoever else is granted a shape needs a class of its own");
}

#[test]
fn a_case_worker_gets_events_of_cases_whatever_kinds_are_asked_for() {
    let caller = everywhere(Role::CaseWorker);
    let permit = decide(&caller, Rpc::Subscribe, Resource::Unnamed).unwrap();
    let kind = |kind: EventKind| i32::from(kind);
    assert!(!permit.kinds(&[]).contains(&kind(EventKind::SchoolVisit)) && !permit.kinds(&[]).is_empty());
    assert_eq!(permit.kinds(&[kind(EventKind::CaseStep), kind(EventKind::SchoolVisit)]), [kind(EventKind::CaseStep)]);
    assert_eq!(permit.kinds(&[kind(EventKind::SchoolVisit)]), [kind(EventKind::Unspecified)], "which never matches");
}

#[test]
fn an_assignment_names_an_own_where_the_role_has_one_and_nowhere_else() {
    let assignment = |role: Role, own| v1::Assignment { role: role.into(), own };
    let area = |code: &str| Some(Own::AreaCode(code.to_owned()));
    let of = |role, own| Caller::of(&assignment(role, own)).is_ok();
    assert!(of(Role::Satgas, area("53.71.03.1010")) && of(Role::Satgas, area("53.71")));
    let office = Caller::of(&assignment(Role::Satgas, area("*"))).unwrap();
    assert!(decide(&office, Rpc::Submit, Resource::ReportedBy { area: "11.01.01.2001", institution: "" }).is_ok());
    assert_eq!(decide(&office, Rpc::Register, Resource::Unnamed), Err(Refusal::Role), "all areas, not all calls");
    assert!(!of(Role::Satgas, area("53.71.0")) && !of(Role::Satgas, area("")) && !of(Role::Satgas, None));
    assert!(of(Role::Institution, Some(Own::InstitutionId("99900001".to_owned()))));
    assert!(!of(Role::Institution, area("53.71")) && !of(Role::Supervisor, area("53.71")));
    assert!(ROLES.into_iter().filter(|role| of(*role, None)).eq([
        Role::CaseWorker,
        Role::Dashboard,
        Role::Evaluator,
        Role::Supervisor,
        Role::Operator
    ]));
}

/// Where the tables stand in the documentation.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/access.md");
const TABLE: [&str; 2] = ["<!-- the table: made by `cargo xtask access` -->\n", "<!-- end of the table -->"];
const SHAPES: [&str; 2] = ["<!-- the shapes: made by `cargo xtask access` -->\n", "<!-- end of the shapes -->"];

/// One line of a table.
pub(crate) fn line(cells: impl IntoIterator<Item = String>) -> String {
    format!("| {} |\n", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

fn table() -> String {
    let word = |grant| match grant {
        Grant::No => "-",
        Grant::Own => "own",
        Grant::Shaped => "shaped",
        Grant::Cases => "cases",
        Grant::All => "all",
        Grant::Anybody => "anybody",
    };
    let role = |role: &Role| role.as_str_name().trim_start_matches("ROLE_").to_lowercase();
    let mut table = line(["RPC".to_owned()].into_iter().chain(ROLES.iter().map(role)));
    table.push_str(&line(vec!["---".to_owned(); ROLES.len() + 1]));
    for rpc in Rpc::ALL {
        let cells = ROLES.iter().map(|role| word(grant(*rpc, *role)).to_owned());
        table.push_str(&line([format!("`{}`", rpc.path())].into_iter().chain(cells)));
    }
    table
}

/// `cargo xtask access` sets SATGAS_WRITE_DOCS and so writes the tables instead of holding them against the policy.
#[test]
fn the_tables_in_the_documentation_are_the_policy_and_the_shapes() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let mut expected = document.clone();
    for (marks, table) in [(TABLE, table()), (SHAPES, crate::shape::tables())] {
        let (before, rest) = expected.split_once(marks[0]).expect("the table's beginning is marked");
        let (_, after) = rest.split_once(marks[1]).expect("the table's end is marked");
        expected = [before, marks[0], "\n", &table, "\n", marks[1], after].concat();
    }
    if std::env::var_os("SATGAS_WRITE_DOCS").is_some() {
        std::fs::write(DOCUMENT, expected).unwrap();
        return;
    }
    assert!(document == expected, "docs/access.md is stale: run `cargo xtask access`");
}
